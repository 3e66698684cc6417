"""Freed memory goes back, and nothing breaks where the C library has no such calls."""

import mmap
import subprocess
import sys

import pytest

from app import memory
from tests.conftest import ROOT


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
