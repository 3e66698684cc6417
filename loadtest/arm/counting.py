"""Runs of the guest under qemu's user mode, with the instructions counted by `count.c`."""

import json
import os
import re
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from app.card.card_file import read_card_file
from loadtest.arm.boards import Board
from loadtest.arm.guest import IMAGES, MARKS
from loadtest.arm.root import GuestRoot
from loadtest.host.model_store import ROOT
from models.files.onnx_file import read_model
from models.onnx_cost.computed_precision import contradictions

QEMU = "qemu-aarch64"
PLUGIN = Path(__file__).with_name("count.c")
# The board's files, in mounts that only this process sees.
MOUNT = 'mount --bind "$1" /proc/cpuinfo; mount --bind "$2" /sys/devices/system/cpu; exec "${@:3}"'


class CannotCount(Exception):
    """A tool or a right is missing, or the guest failed; the text says which."""


@dataclass(frozen=True, slots=True)
class ImageCount:
    """Instructions for one image: the mean of all images after the first."""

    decode: int  # and crop and resize
    inference: int
    classes: list[int]  # the five most probable


def check_tools() -> None:
    """Check that everything is there, before the root is made.

    Raises:
        CannotCount: names what is missing and how to get it.
    """
    for tool, package in ((QEMU, "qemu-user"), ("gcc", "gcc"), ("unshare", "util-linux")):
        if not shutil.which(tool):
            raise CannotCount(f"{tool} not found. Install it with `apt-get install {package}`.")
    done = subprocess.run([*_unshare(), "true"], capture_output=True, text=True, check=False)
    if done.returncode:
        raise CannotCount(
            "No right to mount a board's /proc/cpuinfo, which takes root or user namespaces: "
            f"{done.stderr.strip()}"
        )


def build_plugin(folder: Path) -> Path:
    """Compile the plugin that counts.

    Raises:
        CannotCount: the compiler fails.
    """
    plugin = folder / "count.so"
    command = ["gcc", "-shared", "-fPIC", "-O2", "-o", str(plugin), str(PLUGIN)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise CannotCount(f"gcc failed: {done.stderr.strip()}")
    return plugin


def qemu_release() -> str:
    shown = subprocess.run([QEMU, "--version"], capture_output=True, text=True, check=True).stdout
    found = re.search(r"version (\S+)", shown)
    return found[1] if found else "unknown"


def count(
    board: Board, models: Sequence[Path], photo: Path, root: GuestRoot, work: Path
) -> list[ImageCount]:
    """Count what one image costs on a board, for each model.

    Raises:
        CannotCount: the guest failed, or a model is not computed in the precision of its card.
    """
    folder = work / board.cpu
    folder.mkdir()
    arguments = [str(path.resolve()) for path in (photo, folder, *models)]
    command = [*_unshare(), "bash", "-ec", MOUNT, "bash", *map(str, board.write(folder)),
               QEMU, "-cpu", board.cpu, "-L", str(root.system),
               "-plugin", str(work / "count.so"),
               str(root.python), "-m", "loadtest.arm.guest", *arguments]  # fmt: skip
    done = subprocess.run(
        command, env=_environment(root), capture_output=True, text=True, check=False
    )
    if done.returncode:
        last = "\n".join(done.stderr.splitlines()[-5:])
        raise CannotCount(f"{board.cpu}: the guest exited with {done.returncode}:\n{last}")
    for model in models:
        card = read_card_file(model).card
        if found := contradictions(card, read_model(folder / model.name)):
            raise CannotCount("\n".join(f"{board.cpu}: {line}" for line in found))
    return parse_counts(done.stderr, json.loads(done.stdout))


def parse_counts(printed: str, classes: Sequence[list[int]]) -> list[ImageCount]:
    """Read the counts that the plugin printed for the images of each model.

    Raises:
        CannotCount: there are not as many as there were marks.
    """
    lines = [line.split() for line in printed.splitlines()]
    counts = [int(words[1]) for words in lines if len(words) == 2 and words[0] == "count"]
    if len(counts) != len(classes) * IMAGES * MARKS:
        raise CannotCount(f"The plugin printed {len(counts)} counts for {len(classes)} models.")
    return [_image_count(counts, index, found) for index, found in enumerate(classes)]


def _image_count(counts: list[int], model: int, classes: list[int]) -> ImageCount:
    """Leave out the first image, which also fills caches."""
    starts = [(model * IMAGES + image) * MARKS for image in range(1, IMAGES)]

    def mean(part: int) -> int:
        return sum(counts[at + part + 1] - counts[at + part] for at in starts) // len(starts)

    return ImageCount(mean(0), mean(1), classes)


def _unshare() -> list[str]:
    rights = [] if os.geteuid() == 0 else ["--map-root-user"]
    return ["unshare", *rights, "--mount", "--propagation", "private"]


def _environment(root: GuestRoot) -> dict[str, str]:
    """Variables of the guest, the same at every start."""
    return {
        "PATH": os.environ.get("PATH", os.defpath),
        "LC_ALL": "C.UTF-8",
        "PYTHONHASHSEED": "0",
        "PYTHONPATH": f"{ROOT}{os.pathsep}{root.site}",
        "PYTHONPYCACHEPREFIX": str(root.bytecode),
    }
