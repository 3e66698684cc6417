"""The block of docs/performance.md about ARM."""

from loadtest.arm.boards import BOARDS
from loadtest.arm.result import DECODE, ArmResult
from loadtest.report import table

LABELS = {DECODE: "decode a JPEG of 1280x720 at reduced scale, crop and resize it to 224"}


def render(result: ArmResult) -> str:
    """Millions of instructions; nothing here is a time."""
    cpus = [board for board in BOARDS if board.cpu in result.instructions]
    rows = [
        (
            LABELS.get(what, f"inference, `{what}`"),
            *(f"{result.instructions[board.cpu][what] / 1e6:.1f}" for board in cpus),
        )
        for what in next(iter(result.instructions.values()))
    ]
    headings = ("millions of instructions for one image", *(board.cpu for board in cpus))
    software = ", ".join(f"{name} {release}" for name, release in result.software.items())
    return f"{result.date}, {software}.\n\n{table(headings, rows)}"
