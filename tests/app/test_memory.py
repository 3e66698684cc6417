"""Freed memory goes back, and nothing breaks where the C library has no such calls."""

import mmap
import subprocess
import sys
from pathlib import Path
from subprocess import PIPE

import pytest

from app import memory
from tests.conftest import ROOT, SMALL_V1
from tests.processes import LIVELINESS_S


def test_memory_can_be_given_back_again_and_again() -> None:
    memory.map_large_blocks()
    for _ in range(3):
        block = bytearray(2 * memory.LARGE_BYTES)
        del block
        memory.give_back_freed()


@pytest.mark.skipif(sys.platform != "linux", reason="faults of one thread are counted on Linux")
def test_an_image_is_decoded_in_the_memory_of_the_one_before() -> None:
    code = """if True:
        import resource, threading
        from app.card import Preprocessing
        from app.images import ImageLimits, load_image
        from app.memory import map_large_blocks
        from tests.app.pictures import encode, noise

        def decode(times):
            before = resource.getrusage(resource.RUSAGE_THREAD).ru_minflt
            for _ in range(times):
                load_image(data, 224, usual, ImageLimits())
            return resource.getrusage(resource.RUSAGE_THREAD).ru_minflt - before

        def work():
            decode(3)
            print(decode(20))

        map_large_blocks()
        data = encode(noise(1280, 720))
        usual = Preprocessing(resize="shortest_edge", crop_fraction=0.875, interpolation="bilinear")
        worker = threading.Thread(target=work)
        worker.start()
        worker.join()
    """
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=ROOT
    )
    pages_of_one = 640 * 360 * 4 // mmap.PAGESIZE
    assert int(done.stdout) < pages_of_one, done.stderr


def test_a_service_searches_for_cycles_but_not_among_what_it_loaded(store: Path) -> None:
    code = (
        "import atexit, gc, sys; from app.cli import main;"
        f"sys.argv[1:] = ['serve', '--store', {str(store)!r}, '--port', '0'];"
        f"sys.argv += ['--default-model', {SMALL_V1!r}];"
        "atexit.register(lambda: print(gc.isenabled(), gc.get_freeze_count() > 50_000));"
        "main()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code], stdout=PIPE, stderr=PIPE, text=True, cwd=ROOT
    ) as service:
        log = iter(service.stderr or ())
        assert any("listening" in line for line in log)
        service.terminate()
        out, _ = service.communicate(timeout=LIVELINESS_S)
    assert out == "True True\n"
