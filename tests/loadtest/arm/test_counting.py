"""The plugin counts every instruction of an ARM64 program; counts become the cost of an image."""

import shutil
import struct
import subprocess
from pathlib import Path

import pytest

from app.system.cpu import facts
from loadtest.arm.boards import BOARDS
from loadtest.arm.counting import (
    QEMU,
    CannotCount,
    ImageCount,
    build_plugin,
    check_tools,
    parse_counts,
)

GETSID, EXIT = 156, 93
ADDRESS = 0x400000


def load(register: int, value: int) -> int:
    return 0xD2800000 | value << 5 | register  # movz


SYSTEM_CALL = 0xD4000001
MARK = [load(8, GETSID), SYSTEM_CALL]
LOOP = [0xF1000529, 0x54FFFFE1]  # subs x9, x9, #1; b.ne to the one before


def program(turns: int) -> bytes:
    """A whole ARM64 program: a loop of two instructions between two marks."""
    end = [load(0, 0), load(8, EXIT), SYSTEM_CALL]
    code = struct.pack("<10I", *MARK, load(9, turns), *LOOP, *MARK, *end)
    start = 64 + 56
    machine, executable, loaded, readable_and_executable = 183, 2, 1, 5
    header = struct.pack(
        "<16sHHIQQQIHHHHHH", b"\x7fELF\x02\x01\x01", executable, machine, 1,
        ADDRESS + start, 64, 0, 0, 64, 56, 1, 0, 0, 0,
    )  # fmt: skip
    segment = struct.pack(
        "<IIQQQQQQ", loaded, readable_and_executable, 0, ADDRESS, ADDRESS,
        start + len(code), start + len(code), 4096,
    )  # fmt: skip
    return header + segment + code


def test_a_loop_of_two_instructions_counts_twice_its_turns(tmp_path: Path) -> None:
    if not shutil.which(QEMU) or not shutil.which("gcc"):
        pytest.skip("needs qemu-aarch64 (qemu-user) and gcc")
    plugin = build_plugin(tmp_path)
    file = tmp_path / "program"
    file.write_bytes(program(1000))
    file.chmod(0o755)
    command = [QEMU, "-plugin", str(plugin), str(file)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    first, second = (int(line.split()[1]) for line in done.stderr.splitlines())
    assert second - first == 1 + 2 * 1000 + len(MARK)


def test_an_image_costs_what_is_between_its_marks_and_the_first_image_does_not_count() -> None:
    printed = """\
count 1000
count 1900
count 9900
a warning
count 10000
count 10070
count 10500
count 11000
count 11090
count 11660
"""
    assert parse_counts(printed, [[7, 8]]) == [ImageCount(80, 500, [7, 8])]


def test_a_guest_that_skipped_a_mark_is_an_error() -> None:
    with pytest.raises(CannotCount, match="8 counts for 1 models"):
        parse_counts("count 1\n" * 8, [[7]])


def test_a_missing_emulator_is_named_with_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(CannotCount, match=r"qemu-aarch64 not found.*apt-get install qemu-user"):
        check_tools()


@pytest.mark.parametrize(
    ("cpu", "part", "dot_products"),
    [("cortex-a72", "0xd08", False), ("cortex-a76", "0xd0b", True), ("neoverse-n1", "0xd0c", True)],
)
def test_a_board_describes_the_cpu_that_is_emulated(
    tmp_path: Path, cpu: str, part: str, dot_products: bool
) -> None:
    [board] = [board for board in BOARDS if board.cpu == cpu]
    cpuinfo, cores = board.write(tmp_path)
    found = facts(cpuinfo)
    assert found["CPU part"] == part
    assert ("asimddp" in found["Features"].split()) is dot_products
    assert (cores / "possible").read_text() == "0-3\n"
    assert len(list(cores.glob("cpu[0-9]"))) == cpuinfo.read_text().count("processor") == 4
