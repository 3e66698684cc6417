"""`make bench-arm`: the instructions that an image costs on ARM, counted without a board.

The guest is the service's own code with the image's aarch64 wheels under qemu's user mode. Two runs
differ by 0.05 %, so a recorded figure can be held: the command fails if one grew by more than 3 %.
"""

import hashlib
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import typer
from rich.console import Console

from app.system.cores import usable_cores
from loadtest.arm.boards import BOARDS, Board
from loadtest.arm.counting import (
    CannotCount,
    ImageCount,
    build_plugin,
    check_tools,
    count,
    qemu_release,
)
from loadtest.arm.report import render
from loadtest.arm.result import (
    BASELINE,
    DECODE,
    ArmResult,
    Comparison,
    compare,
    read_baseline,
    write_baseline,
)
from loadtest.arm.root import FOLDER, GuestRoot, NoRoot, guest_root
from loadtest.host.model_store import LARGEST, SMALLEST, bring_models
from loadtest.load.photos import prepare_photos
from loadtest.report import save

# The first is the one whose decoding is reported.
MODELS = (
    LARGEST,
    "mobilenet_v2_1.0_224_ptq",
    "mobilenet_v2_1.0_224_int8",
    "mobilenet_v1_1.0_224_int8",
    SMALLEST,
)
PACKAGES = ("onnxruntime", "pillow", "numpy")
CONSOLE = Console(stderr=True)


def measure(folder: Path, status: Console = CONSOLE) -> ArmResult:
    """Count every model that this machine has the weights of, on every board.

    Raises:
        CannotCount, NoRoot: a tool, a right, a package or the default model is missing.
    """
    check_tools()
    with status.status("the ARM64 root"):
        root = guest_root(folder)
    with TemporaryDirectory() as name, status.status("counting"):
        work = Path(name)
        build_plugin(work)
        photo = prepare_photos(work)["720p"]
        models = bring_models(MODELS, work / "store")
        counts = _count_boards(list(models.values()), photo, root, work)
        return ArmResult(
            date=datetime.now(UTC).strftime("%Y-%m-%d"),
            software={"qemu": qemu_release(), **root.releases(PACKAGES)},
            photo=hashlib.sha256(photo.read_bytes()).hexdigest(),
            instructions={cpu: _by_name(list(models), found) for cpu, found in counts.items()},
        )


def _count_boards(
    models: list[Path], photo: Path, root: GuestRoot, work: Path
) -> dict[str, list[ImageCount]]:
    """Count on all boards at once, as far as there are cores; all have to see the same image.

    Raises:
        CannotCount: a guest failed, or two boards name different classes.
    """

    def on(board: Board) -> list[ImageCount]:
        return count(board, models, photo, root, work)

    with ThreadPoolExecutor(usable_cores().count) as pool:
        counts = dict(zip((board.cpu for board in BOARDS), pool.map(on, BOARDS), strict=True))
    for model, found in zip(models, zip(*counts.values(), strict=True), strict=True):
        if len({image.classes[0] for image in found}) > 1:
            raise CannotCount(f"{model.stem} gives different classes on different CPUs.")
    return counts


def _by_name(names: list[str], counts: list[ImageCount]) -> dict[str, int]:
    first = counts[0]
    inference = {name: found.inference for name, found in zip(names, counts, strict=True)}
    return {DECODE: first.decode, **inference}


def explain(comparison: Comparison) -> str:
    lines = [f"Grown: {line}." for line in comparison.grown]
    lines += [f"Not recorded: {line}. Record it with --record." for line in comparison.new]
    lines += [f"Not counted here: {line}." for line in comparison.not_counted]
    return "\n".join(lines)


def main(
    folder: Annotated[Path, typer.Option(help="Folder for the ARM64 root.")] = FOLDER,
    record: Annotated[
        bool, typer.Option("--record", help="Record the counts, and update docs/performance.md.")
    ] = False,
) -> None:
    """Count the instructions of an image on three ARM CPUs, and compare with the recorded ones."""
    try:
        result = measure(folder)
    except (CannotCount, NoRoot) as error:
        CONSOLE.print(str(error), markup=False)
        sys.exit(1)
    save("arm", render(result), result, publish=record)
    comparison = compare(result, read_baseline()) if BASELINE.is_file() else Comparison([], [], [])
    if record:
        write_baseline(result)
        return
    CONSOLE.print(explain(comparison), markup=False)
    if comparison.grown or comparison.new:
        sys.exit(1)


if __name__ == "__main__":
    typer.run(main)
