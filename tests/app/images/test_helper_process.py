"""The helper process: the same pixels, limits of the kernel, and a new one after a crash."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from app.card.card import Preprocessing
from app.errors import (
    DamagedImage,
    InternalError,
    NotAnImage,
    OutOfMemory,
    TooManyPixels,
    UnsupportedFormat,
)
from app.images.decode import load_image
from app.images.helper_process import Abandoned, HelperLimits, HelperProcess
from app.images.helper_protocol import ANSWER, PIXELS, Job, pack_error, unpack_job
from app.images.limits import ImageLimits
from loadtest.robustness.structured_images.bitmaps import Tag, bmp, tiff
from tests.app.sample_images import cat, encode, oriented_exif
from tests.processes import LIVELINESS_S, until
from tests.robustness.traffic import endless_image

RULE = Preprocessing(resize="shortest_edge", crop_fraction=0.875, interpolation="bilinear")
JOB = Job(96, "shortest_edge", 0.875, "bilinear", reduced_decode=True)
LIMITS = ImageLimits()
PHOTO = encode(cat(320, 240), "BMP")
# Of 20,000 x 20,000 pixels by its header.
VAST_GIF = b"GIF89a" + (20_000).to_bytes(2, "little") * 2 + encode(cat(8, 8), "GIF")[10:]


def wanted() -> bool:
    """The image is never abandoned."""
    return False


@pytest.fixture
def helper() -> Iterator[HelperProcess]:
    made = HelperProcess(LIMITS, HelperLimits())
    yield made
    made.close()
    made.stop()


def limited(**limits: float) -> HelperProcess:
    return HelperProcess(LIMITS, HelperLimits(**limits))  # type: ignore[arg-type]  # by name


def runs(pid: int | None) -> bool:
    return pid is not None and Path(f"/proc/{pid}").exists()


def in_the_middle(helper: HelperProcess, then: int) -> BaseException | None:
    """Send a signal to the helper while it decodes, and return what became of the image."""
    with ThreadPoolExecutor(1) as pool:
        helper.decode(PHOTO, JOB, wanted)  # it has started
        pid = helper.pid
        assert pid is not None
        before = Path(f"/proc/{pid}/io").read_text("ascii")
        decoding = pool.submit(helper.decode, endless_image(), JOB, wanted)
        until(lambda: Path(f"/proc/{pid}/io").read_text("ascii") != before, "the image arrives")
        os.kill(pid, then)
        return decoding.exception(LIVELINESS_S)


@pytest.mark.parametrize(
    ("image_format", "mode", "options"),
    [
        ("TIFF", "RGB", {}),
        ("TIFF", "RGB", {"compression": "tiff_lzw"}),
        ("TIFF", "CMYK", {"compression": "raw"}),
        ("TIFF", "L", {"compression": "tiff_adobe_deflate", "exif": oriented_exif(6)[6:]}),
        ("BMP", "RGB", {}),
        ("BMP", "P", {}),
        ("GIF", "P", {"transparency": 3}),
        ("GIF", "L", {}),
        ("PNG", "RGBA", {}),
        ("JPEG", "RGB", {"progressive": True, "exif": oriented_exif(8)}),
        ("WEBP", "RGB", {}),
    ],
)
@pytest.mark.parametrize(
    "job",
    [JOB, Job(128, "central_crop", 0.5, "bicubic", reduced_decode=False)],
    ids=["usual", "other"],
)
def test_it_makes_the_pixels_that_this_process_makes(
    helper: HelperProcess, image_format: str, mode: str, options: dict[str, object], job: Job
) -> None:
    data = encode(cat().convert(mode), image_format, **options)
    rule = Preprocessing(
        resize=job.resize,
        crop_fraction=job.crop_fraction,
        interpolation=job.interpolation,
    )
    here = load_image(data, job.resolution, rule, LIMITS, reduced_decode=job.reduced_decode)
    assert helper.decode(data, job, wanted) == here.tobytes()


def test_16_bit_grey_has_the_same_pixels(helper: HelperProcess) -> None:
    deep = Image.fromarray(np.arange(65_536, dtype=np.uint16).reshape(256, 256))
    data = encode(deep, "TIFF")
    assert helper.decode(data, JOB, wanted) == load_image(data, 96, RULE, LIMITS).tobytes()


@pytest.mark.parametrize(
    ("data", "error", "text"),
    [
        (PHOTO[:5000], DamagedImage, "The BMP image is cut off before its last pixel."),
        (b"no image", NotAnImage, "Unrecognized image format. Supported: JPEG"),
        (VAST_GIF, TooManyPixels, "20000 x 20000 pixels"),
        (encode(Image.new("F", (32, 32)), "TIFF"), UnsupportedFormat, "floating-point grey pixels"),
    ],
)
def test_an_error_is_the_one_that_this_process_raises(
    helper: HelperProcess, data: bytes, error: type[Exception], text: str
) -> None:
    with pytest.raises(error, match=text):
        helper.decode(data, JOB, wanted)
    assert len(helper.decode(PHOTO, JOB, wanted)) == JOB.pixel_bytes


def test_one_process_decodes_many_images(helper: HelperProcess) -> None:
    helper.decode(PHOTO, JOB, wanted)
    pid = helper.pid
    for _ in range(3):
        helper.decode(PHOTO, JOB, wanted)
    assert helper.pid == pid


@pytest.mark.parametrize(
    ("number", "error"),
    [
        (signal.SIGKILL, OutOfMemory),  # as by the kernel, when a machine has no memory left
        (signal.SIGSEGV, DamagedImage),
        (signal.SIGABRT, DamagedImage),
    ],
)
def test_the_next_image_is_decoded_after_a_crash(
    helper: HelperProcess, number: int, error: type[Exception]
) -> None:
    assert isinstance(in_the_middle(helper, number), error)
    assert len(helper.decode(PHOTO, JOB, wanted)) == JOB.pixel_bytes


def test_the_next_image_is_decoded_when_the_process_died_meanwhile(helper: HelperProcess) -> None:
    helper.decode(PHOTO, JOB, wanted)
    pid = helper.pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    assert len(helper.decode(PHOTO, JOB, wanted)) == JOB.pixel_bytes
    assert helper.pid != pid


def test_an_image_that_takes_too_long_ends_with_the_limit_in_its_error() -> None:
    helper = limited(cpu_s=0.2)
    with pytest.raises(UnsupportedFormat, match=r"longer than the limit of 0\.2 s of processor"):
        helper.decode(endless_image(), JOB, wanted)
    assert helper.pid is None
    assert len(helper.decode(PHOTO, JOB, wanted)) == JOB.pixel_bytes
    helper.stop()


def test_each_image_has_the_whole_time(helper: HelperProcess) -> None:
    """Twenty images take more together than the limit of one."""
    one = encode(Image.new("RGB", (2000, 2000)), "TIFF", compression="tiff_lzw")
    helper = limited(cpu_s=0.5)
    for _ in range(20):
        assert len(helper.decode(one, JOB, wanted)) == JOB.pixel_bytes
    helper.stop()


def test_an_image_that_nobody_waits_for_ends_the_process(helper: HelperProcess) -> None:
    helper.decode(PHOTO, JOB, wanted)
    pid, gone = helper.pid, threading.Event()
    with ThreadPoolExecutor(1) as pool:
        decoding = pool.submit(helper.decode, endless_image(), JOB, gone.is_set)
        gone.set()
        assert isinstance(decoding.exception(LIVELINESS_S), Abandoned)
    assert not runs(pid)
    assert len(helper.decode(PHOTO, JOB, wanted)) == JOB.pixel_bytes


def test_an_image_that_may_take_too_much_memory_is_rejected_by_its_header() -> None:
    data = encode(Image.new("RGB", (1000, 1000)), "BMP")  # 4 bytes a pixel
    helper = limited(memory_bytes=4_000_000)
    assert len(helper.decode(data, JOB, wanted)) == JOB.pixel_bytes
    helper.stop()
    helper = limited(memory_bytes=3_999_999)
    with pytest.raises(TooManyPixels, match="limit of 3999999 bytes"):
        helper.decode(data, JOB, wanted)
    helper.stop()


def test_the_kernel_keeps_the_limit_of_memory() -> None:
    """A tag of a small TIFF is a list of 4 million numbers, which no header announces."""
    pixels, numbers = bytes(64 * 64), b"\1\0\0\0" * 4_000_000
    tags: list[Tag] = [
        (256, 4, 1, 64), (257, 4, 1, 64), (258, 3, 1, 8), (259, 3, 1, 1), (262, 3, 1, 1),
        (273, 4, 1, 8), (277, 3, 1, 1), (278, 4, 1, 64), (279, 4, 1, 4096),
        (282, 4, 4_000_000, numbers),
    ]  # fmt: skip
    data = tiff(tags, pixels)
    helper = limited(memory_bytes=1_000_000, cpu_s=60)
    with pytest.raises(OutOfMemory):
        helper.decode(data, JOB, wanted)
    helper.stop()


def test_its_limits_are_those_of_the_kernel(helper: HelperProcess) -> None:
    helper.decode(PHOTO, JOB, wanted)
    lines = Path(f"/proc/{helper.pid}/limits").read_text("ascii").splitlines()
    found = {line[:26].strip(): line[26:].split()[:2] for line in lines[1:]}
    assert found["Max file size"] == ["0", "0"]
    assert found["Max core file size"] == ["0", "0"]
    assert found["Max open files"] == ["16", "16"]
    limits = HelperLimits()
    [soft, hard] = found["Max address space"]
    assert soft == hard
    assert 0 < int(soft) - limits.memory_bytes - limits.file_bytes < 200_000_000
    assert int(found["Max cpu time"][0]) in (3, 4)  # what it has used, 2 s, and one more
    own = os.getpriority(os.PRIO_PROCESS, 0)
    assert os.getpriority(os.PRIO_PROCESS, helper.pid or 0) == min(own + 10, 19)


def test_it_knows_no_secret_and_writes_nothing(
    helper: HelperProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GATEWAY_API_KEYS", "hush-hush")
    helper.decode(PHOTO, JOB, wanted)
    process = Path(f"/proc/{helper.pid}")
    assert b"hush-hush" not in (process / "environ").read_bytes()
    assert str((process / "fd" / "2").readlink()) == os.devnull
    modules = (process / "maps").read_text("ascii")
    assert "_imaging." in modules
    assert not [name for name in ("onnxruntime", "pydantic", "numpy") if name in modules]


def test_it_ends_when_the_service_is_gone() -> None:
    code = """
import os
from tests.app.images.test_helper_process import *
helper = HelperProcess(LIMITS, HelperLimits())
helper.decode(PHOTO, JOB, wanted)
print(helper.pid, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    pid = int(done.stdout)
    until(lambda: not runs(pid) or "Z (zombie)" in _status(pid), "it ends")


def _status(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/status").read_text("utf-8")
    except FileNotFoundError:
        return "Z (zombie)"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_to_all_processes_of_the_unit_does_not_end_it(
    helper: HelperProcess, number: int
) -> None:
    helper.decode(PHOTO, JOB, wanted)
    pid = helper.pid
    assert pid is not None
    os.kill(pid, number)
    assert len(helper.decode(PHOTO, JOB, wanted)) == JOB.pixel_bytes
    assert helper.pid == pid


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(ANSWER.pack(PIXELS, 10) + bytes(10), id="too few pixels"),
        pytest.param(ANSWER.pack(PIXELS, 2**32 - 1), id="too many pixels"),
        pytest.param(ANSWER.pack(200, 3) + b"abc", id="unknown error"),
        pytest.param(ANSWER.pack(1, 2**31), id="endless text"),
    ],
)
def test_an_answer_that_is_none_is_a_damaged_image(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, answer: bytes
) -> None:
    """A decoder that a file has taken over answers what it likes."""
    taken_over(monkeypatch, tmp_path, f"READY + {answer!r}")
    helper = HelperProcess(LIMITS, HelperLimits())
    with pytest.raises(DamagedImage):
        helper.decode(PHOTO, JOB, wanted)
    assert helper.pid is None


@pytest.mark.parametrize("number", [signal.SIGPROF, signal.SIGXCPU])
def test_the_limit_is_named_although_the_process_takes_long_to_end(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, number: int
) -> None:
    """The kernel closes the pipes of a process before it has freed its memory."""
    ends = f"import os, time; os.close(1); time.sleep(0.3); os.kill(os.getpid(), {int(number)})"
    taken_over(monkeypatch, tmp_path, f"READY); sys.stdout.flush()\n{ends}\nprint(")
    helper = HelperProcess(LIMITS, HelperLimits())
    with pytest.raises(UnsupportedFormat, match="longer than the limit of 2 s"):
        helper.decode(PHOTO, JOB, wanted)
    assert helper.pid is None


def test_a_helper_that_does_not_start_is_no_fault_of_the_image(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    taken_over(monkeypatch, tmp_path, "b'no'), sys.exit(")
    helper = HelperProcess(LIMITS, HelperLimits())
    with pytest.raises(InternalError):
        helper.decode(PHOTO, JOB, wanted)


def taken_over(monkeypatch: pytest.MonkeyPatch, folder: Path, says: str) -> None:
    """Let another program be the helper."""
    program = folder / "python"
    program.write_text(
        f"#!{sys.executable}\nimport sys\nfrom app.images.helper_protocol import READY\n"
        f"sys.stdout.buffer.write({says})\nsys.stdout.flush()\nsys.stdin.buffer.read(20)\n"
    )
    program.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(program))


def test_a_closed_helper_starts_no_more() -> None:
    helper = HelperProcess(LIMITS, HelperLimits())
    helper.close()
    with pytest.raises(Abandoned):
        helper.decode(PHOTO, JOB, wanted)


def test_a_job_has_these_bytes() -> None:
    packed = Job(224, "central_crop", 0.875, "bicubic", reduced_decode=True).pack(258, shared=False)
    assert packed.hex() == "020100000000000000e000000001000000000000ec3f0201"
    assert unpack_job(packed) == (258, False, Job(224, "central_crop", 0.875, "bicubic", True))


def test_an_error_has_these_bytes() -> None:
    assert pack_error(DamagedImage("ab")).hex() == "01020000006162"
    assert pack_error(OutOfMemory("ab")).hex() == "05020000006162"
    assert len(pack_error(DamagedImage("x" * 5000))) == 5 + 1000


def test_runs_of_a_bmp_that_pillow_decodes_in_python_end_with_the_limit() -> None:
    helper = limited(cpu_s=0.3)
    with pytest.raises(UnsupportedFormat):
        helper.decode(bmp(6000, 6600, b"\x01\x02\x00\x00" * 6600), JOB, wanted)
    helper.stop()
