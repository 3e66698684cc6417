"""Freed memory goes back, what is used again stays, and start-up leaves nothing to collect."""

import mmap
import subprocess
import sys
from pathlib import Path
from subprocess import PIPE

import pytest

from app.system import memory
from tests.app.resident import needs_glibc, numbers
from tests.conftest import ROOT, SMALL_V1
from tests.processes import LIVELINESS_S


@needs_glibc
def test_what_was_freed_below_a_live_block_is_given_back() -> None:
    code = """if True:
        from app.system.memory import return_free_memory
        from tests.app.resident import resident_bytes

        blocks = [bytes(10_000) for _ in range(10_000)]
        above = bytes(10_000)
        full = resident_bytes()
        del blocks
        kept = resident_bytes()
        return_free_memory()
        print(full - kept, kept - resident_bytes())
    """
    [freed_at_once, given_back], _ = numbers(code)
    assert freed_at_once < 10e6
    assert given_back > 90e6


@needs_glibc
@pytest.mark.parametrize("mapped", [True, False])
def test_a_large_block_below_a_live_one_goes_back_at_once_only_if_it_is_mapped(
    mapped: bool,
) -> None:
    code = f"""if True:
        from app.system.memory import LARGE_BYTES, map_large_blocks
        from tests.app.resident import resident_bytes

        if {mapped}:
            map_large_blocks()
        bytearray(2 * LARGE_BYTES)  # the first one is mapped anyway, and teaches glibc not to
        large = bytearray(2 * LARGE_BYTES)
        above = [bytes(10_000) for _ in range(1000)]
        before = resident_bytes()
        del large
        print(before - resident_bytes())
    """
    [freed_at_once], _ = numbers(code)
    assert (freed_at_once >= 2 * memory.LARGE_BYTES) == mapped


@pytest.mark.skipif(sys.platform != "linux", reason="faults of one thread are counted on Linux")
def test_an_image_is_decoded_in_the_memory_of_the_one_before() -> None:
    code = """if True:
        import resource, threading
        from app.card.card import Preprocessing
        from app.images.decode import ImageLimits, load_image
        from app.system.memory import map_large_blocks
        from tests.app.sample_images import encode, noise

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
    [pages], _ = numbers(code)
    assert pages < 640 * 360 * 4 // mmap.PAGESIZE


def test_a_service_searches_for_cycles_but_not_among_what_it_loaded(store: Path) -> None:
    code = (
        "import atexit, gc, sys; from app.commands.cli import main;"
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
