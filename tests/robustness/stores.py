"""Stores that a test may change, and files to change them with."""

import shutil
from pathlib import Path
from typing import Literal

from app.card.card import Family
from tests.exports import export_random


def copied(store: Path, folder: Path) -> Path:
    """A copy of the models of a store."""
    folder.mkdir()
    for file in store.glob("*.onnx"):
        shutil.copy2(file, folder)
    return folder


def put(
    folder: Path,
    family: Family = "mobilenet_v1",
    alpha: float = 0.25,
    resolution: int = 128,
    *,
    variant: str | None = None,
    seed: int = 0,
    trained: bool = True,
) -> str:
    """Put a model with random weights into a store as one should, in one step; its name."""
    kind: Literal["published", "untrained"] = "published" if trained else "untrained"
    return export_random(folder, family, alpha, resolution, kind, variant=variant, seed=seed).stem


def put_broken(folder: Path, name: str) -> None:
    """Put a file into a store that is no model."""
    made = folder / f".{name}.making"
    made.write_bytes(b"\x08\x07broken" * 100)
    made.replace(folder / f"{name}.onnx")
