"""The memory that the service and its helper process share for a file."""

import io
import os
import resource
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from random import Random

import pytest
from PIL import Image

from app.card.card import Preprocessing
from app.errors import DamagedImage, NotAnImage, UnsupportedFormat
from app.images.decode import load_image
from app.images.helper_process import HelperLimits, HelperProcess
from app.images.helper_protocol import Job
from app.images.limits import ImageLimits
from app.images.shared_file import (
    PIECE_BYTES,
    Arrival,
    MappedMemory,
    SharedFile,
    SharedMemory,
    shared_memory,
)
from tests.app.sample_images import cat, encode

pytestmark = pytest.mark.skipif(
    not hasattr(os, "memfd_create"), reason="needs memfd_create, as on Linux"
)

RULE = Preprocessing(resize="shortest_edge", crop_fraction=0.875, interpolation="bilinear")
JOB = Job(96, "shortest_edge", 0.875, "bilinear", reduced_decode=True)
LIMITS = ImageLimits()
PHOTO = cat(320, 240)
TIFF, BMP, GIF = (encode(PHOTO.convert("RGB"), name) for name in ("TIFF", "BMP", "GIF"))
LZW = encode(PHOTO, "TIFF", compression="tiff_lzw")
PNG, WEBP = encode(PHOTO, "PNG"), encode(PHOTO, "WEBP")
SIZE = 2**20
PIECES = SIZE // PIECE_BYTES


def wanted() -> bool:
    """The image is never abandoned."""
    return False


def here(data: bytes) -> bytes:
    """The pixels that this process makes."""
    return load_image(data, JOB.resolution, RULE, LIMITS).tobytes()


@pytest.fixture
def memory() -> Iterator[SharedMemory]:
    made = shared_memory(SIZE)
    assert made is not None
    yield made
    made.close()


@pytest.fixture
def helper() -> Iterator[HelperProcess]:
    made = HelperProcess(LIMITS, HelperLimits(file_bytes=SIZE))
    yield made
    made.close()
    made.stop()


def open_files() -> set[tuple[int, int]]:
    """The identities of this process's pipes and shared memory, its other helpers' included."""
    found = set()
    for file in Path("/proc/self/fd").iterdir():
        with suppress(FileNotFoundError):  # another thread has closed it
            if str(file.readlink()).startswith(("pipe:", "/memfd:image")):
                status = file.stat()
                found.add((status.st_dev, status.st_ino))
    return found


def held_bytes(descriptor: int) -> int:
    return os.fstat(descriptor).st_blocks * 512


def memory_of(helper: HelperProcess) -> list[Path]:
    """The shared memory, as a file that its process has open, and again while it is mapped."""
    files = Path(f"/proc/{helper.pid}/fd").iterdir()
    return [file for file in files if str(file.readlink()).startswith("/memfd:image")]


def test_it_reads_like_bytes_and_like_a_file() -> None:
    random = Random(5)
    data = random.randbytes(500)
    shared, plain = SharedFile(memoryview(data), Arrival(lambda: None)), io.BytesIO(data)
    for _ in range(2000):
        whence = random.choice((os.SEEK_SET, os.SEEK_CUR, os.SEEK_END))
        offset = random.randrange(-600, 700)
        if whence == os.SEEK_SET and offset < 0:
            for file in (shared, plain):
                with pytest.raises(ValueError, match="egative seek"):
                    file.seek(offset)
        else:
            assert shared.seek(offset, whence) == plain.seek(offset, whence)
        size = random.choice((None, -1, 0, 1, 8, 300, 2**40))
        assert shared.read(size) == plain.read(size)
        assert shared.tell() == plain.tell()
        part = slice(random.randrange(600), random.randrange(600))
        assert shared[part] == data[part]
    assert bytes(shared.getvalue()) == data
    assert len(shared) == 500
    assert shared.startswith(data[:3])
    assert not shared.startswith(b"another")


@pytest.mark.parametrize("data", [TIFF, LZW, BMP, GIF], ids=["TIFF", "LZW", "BMP", "GIF"])
def test_what_is_put_there_is_what_the_other_side_maps(memory: SharedMemory, data: bytes) -> None:
    mapped = MappedMemory(memory.descriptor, SIZE)
    for file in (TIFF, data):
        pieces = put(memory, file)
        with mapped.file(len(file), partial(next, pieces)) as found:
            assert found[: len(file)] == file
            assert len(found) == len(file)
    mapped.unmap()


def put(memory: SharedMemory, data: bytes) -> Iterator[None]:
    assert memory.reserve(len(data))
    return memory.pieces(data)


@pytest.mark.parametrize("read", [0, 1, PIECE_BYTES, PIECE_BYTES + 1, SIZE, 2 * SIZE])
def test_a_reader_waits_for_what_it_reads(memory: SharedMemory, read: int) -> None:
    """The helper begins while the service still copies."""
    data = Random(6).randbytes(SIZE)
    arrived = 0

    def wait() -> None:
        nonlocal arrived
        next(pieces)
        arrived += 1

    pieces = put(memory, data)
    with MappedMemory(memory.descriptor, SIZE).file(SIZE, wait) as found:
        assert found[:read] == data[:read]
        assert arrived == min(-(-read // PIECE_BYTES), PIECES)
    assert arrived == PIECES


def test_no_piece_is_left_when_the_memory_cannot_be_mapped(memory: SharedMemory) -> None:
    pieces = put(memory, bytes(SIZE))
    unmappable = os.open("/", os.O_RDONLY)
    with (
        pytest.raises(OSError, match="No such device"),
        MappedMemory(unmappable, SIZE).file(SIZE, partial(next, pieces)),
    ):
        pass
    os.close(unmappable)
    assert list(pieces) == []


def test_another_copy_of_a_file_takes_its_place(memory: SharedMemory) -> None:
    for leave in (memory.empty, lambda: memory.reserve(SIZE + 1)):
        list(put(memory, TIFF))
        assert held_bytes(memory.descriptor) >= len(TIFF)
        assert not leave()
        assert held_bytes(memory.descriptor) == 0


def test_the_helper_has_a_file_in_one_place_only(helper: HelperProcess) -> None:
    for data in (TIFF, b"no image", GIF, PNG):
        with suppress(NotAnImage):
            helper.decode(data, JOB, wanted)
        file = memory_of(helper)[0]
        held = file.stat().st_blocks * 512
        mapped = "/memfd:image" in Path(f"/proc/{helper.pid}/maps").read_text("ascii")
        is_shared = data in (TIFF, GIF)
        assert (held >= len(data), mapped) == (is_shared, is_shared)


def no_memory(*_: object, **__: object) -> int:
    raise OSError(12, "Cannot allocate memory")


def test_what_there_is_no_memory_for_goes_another_way(
    helper: HelperProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert helper.decode(GIF, JOB, wanted) == here(GIF)
    with monkeypatch.context() as patch:
        patch.setattr(os, "posix_fallocate", no_memory)
        assert helper.decode(TIFF, JOB, wanted) == here(TIFF)
    assert memory_of(helper)[0].stat().st_blocks == 0
    assert helper.decode(TIFF, JOB, wanted) == here(TIFF)


def test_a_file_that_cannot_be_put_where_memory_was_reserved_ends_the_helper(
    helper: HelperProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A decoder that was taken over has returned that memory, and the machine has no more."""
    with monkeypatch.context() as patch:
        patch.setattr(os, "pwrite", no_memory)
        with pytest.raises(DamagedImage):
            helper.decode(TIFF, JOB, wanted)
    assert helper.pid is None
    assert helper.decode(TIFF, JOB, wanted) == here(TIFF)


def test_a_file_is_read_to_its_end_after_an_error_in_its_header(helper: HelperProcess) -> None:
    several_pieces = encode(Image.new("F", (500, 500)), "TIFF")
    assert len(several_pieces) > 3 * PIECE_BYTES
    for _ in range(2):
        with pytest.raises(UnsupportedFormat, match="floating-point"):
            helper.decode(several_pieces, JOB, wanted)
    assert helper.decode(TIFF, JOB, wanted) == here(TIFF)


def test_files_by_both_ways_in_turn_have_their_pixels(helper: HelperProcess) -> None:
    for data in (TIFF, PNG, LZW, LZW, WEBP, PNG, BMP, GIF, PNG, TIFF):
        assert helper.decode(data, JOB, wanted) == here(data)
    cut = TIFF[: len(TIFF) // 2]
    with pytest.raises(DamagedImage):
        helper.decode(cut, JOB, wanted)
    assert helper.decode(GIF, JOB, wanted) == here(GIF)


def test_a_process_without_such_memory_gets_every_file_by_its_pipe(
    helper: HelperProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(os, "memfd_create")
    for data in (TIFF, PNG, GIF):
        assert helper.decode(data, JOB, wanted) == here(data)
    assert not memory_of(helper)


def test_a_decoder_that_was_taken_over_cannot_spoil_it(helper: HelperProcess) -> None:
    """It may write there; the service reads nothing back and puts the next file there whole."""
    helper.decode(TIFF, JOB, wanted)
    file = memory_of(helper)[0]
    os.truncate(file, 0)
    assert helper.decode(BMP, JOB, wanted) == here(BMP)
    with file.open("r+b") as writable:
        writable.write(bytes(len(TIFF)))
    assert helper.decode(TIFF, JOB, wanted) == here(TIFF)


def test_a_process_with_the_limits_of_the_helper_cannot_grow_it(memory: SharedMemory) -> None:
    code = f"""
import os, resource
resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
for grow in (
    lambda: os.ftruncate({memory.descriptor}, {2 * SIZE}),
    lambda: os.pwrite({memory.descriptor}, bytes(10), {SIZE}),
):
    try:
        grow()
    except OSError:
        continue
    raise SystemExit("It has grown.")
"""
    subprocess.run([sys.executable, "-c", code], check=True, pass_fds=[memory.descriptor])
    assert os.fstat(memory.descriptor).st_size == SIZE


def test_it_ends_with_its_process(helper: HelperProcess) -> None:
    before = open_files()
    for _ in range(2):
        helper.decode(TIFF, JOB, wanted)
        assert len(open_files() - before) == 3  # two pipes and the memory
        helper.stop()
        assert open_files() <= before  # an idle helper of another test may end meanwhile


def test_a_process_that_cannot_be_started_leaves_no_files_open(
    helper: HelperProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = []
    with monkeypatch.context() as patch:
        patch.setattr(subprocess, "Popen", no_memory)
        for _ in range(3):
            with pytest.raises(OSError, match="Cannot allocate memory"):
                helper.decode(TIFF, JOB, wanted)
            found.append(open_files())
    assert found[1] <= found[0]
    assert found[2] <= found[0]
    assert helper.decode(TIFF, JOB, wanted) == here(TIFF)


def test_there_is_none_where_a_file_may_not_be_so_large() -> None:
    """As with `ulimit -f`; the files then go by pipe."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (SIZE - 1, hard))
    try:
        made = shared_memory(SIZE)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert made is None
