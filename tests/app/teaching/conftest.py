"""Photos in folders, and a small model with random weights."""

import hashlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from app.model.model import Model, load_model
from tests.exports import export_random

COLOURS = {"blue": (30, 60, 200), "green": (40, 190, 70), "red": (200, 40, 30)}


@pytest.fixture(scope="session")
def base_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return export_random(tmp_path_factory.mktemp("store"))


@pytest.fixture(scope="session")
def base(base_file: Path) -> Model:
    return load_model(base_file)


@pytest.fixture(scope="session")
def base_sha256(base_file: Path) -> str:
    return hashlib.sha256(base_file.read_bytes()).hexdigest()


def write_photo(path: Path, colour: tuple[int, int, int], seed: int) -> None:
    """A noisy field of one colour with a darker block, somewhere."""
    random = np.random.default_rng(seed)
    pixels = np.array(colour) + random.normal(scale=25, size=(120, 160, 3))
    top, left = random.integers(0, 80), random.integers(0, 120)
    pixels[top : top + 40, left : left + 40] *= 0.4
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8)).save(path)


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve photos of each colour, one of them twice, and two files that are no photos."""
    root = tmp_path_factory.mktemp("photos")
    for label, colour in COLOURS.items():
        for number in range(12):
            write_photo(root / label / f"{number:02}.png", colour, seed=hash_of(label) + number)
    (root / "red" / "copy.png").write_bytes((root / "red" / "00.png").read_bytes())
    (root / "red" / "notes.txt").write_text("not a photo")
    (root / "green" / ".hidden").write_text("ignored")
    return root


def hash_of(label: str) -> int:
    return sum(label.encode()) * 1000
