"""What Teachable Machine downloads: a zip of a model and the names of its classes."""

import stat
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory

from app.card.card import Preprocessing
from models.checkpoints.stored_zip import DAMAGED, is_zip
from models.export.graph import InputScaling
from models.importing.checks import Refused
from models.importing.dialogue.options import OwnLabels
from models.importing.dialogue.presets import Preset
from models.importing.labels import NUMBERED, decode, parse_labels

LABELS = "labels.txt"
QUANTIZED = "model.tflite"
# Only Teachable Machine names its files so. A model.tflite may be anybody's.
FLOATS = ("model_unquant.tflite", "keras_model.h5")
MAX_ENTRIES = 100
MAX_MODEL_BYTES = 100_000_000  # they have 2 MB
MAX_LABELS_BYTES = 1_000_000
# Its sample code in Python: ImageOps.fit(image, (224, 224), LANCZOS), pixel / 127.5 - 1.
PRESET = Preset(
    "Teachable Machine's sample code",
    InputScaling((0.5,) * 3, (0.5,) * 3),
    Preprocessing(resize="shortest_edge", crop_fraction=1.0, interpolation="lanczos"),
    background=False,
)


@dataclass(frozen=True, slots=True)
class Export:
    """The model in a temporary folder, its class names, and how its images are prepared.

    `preset` is None where the names of the files could be anybody's.
    """

    model: Path
    labels: OwnLabels
    preset: Preset | None


@contextmanager
def unpacked(path: Path) -> Iterator[Export | None]:
    """The model of a downloaded zip; None for any other file.

    Raises:
        Refused: an entry is larger than any of Teachable Machine's, or damaged.
        OSError: the file cannot be read.
    """
    found = _members(path)
    if found is None:
        yield None
        return
    model, labels = found
    name = PurePosixPath(model.filename).name
    with TemporaryDirectory() as folder:
        with zipfile.ZipFile(path) as archive:
            content = _read(archive, model, MAX_MODEL_BYTES, path)
            text = _read(archive, labels, MAX_LABELS_BYTES, path)
        (Path(folder) / name).write_bytes(content)
        names = parse_labels(text, ".txt", f"{path.name}: {LABELS}")
        numbered = all(map(NUMBERED.fullmatch, decode(text).rstrip().splitlines()))
        preset = replace(PRESET, scaling=PRESET.scaling if name in FLOATS else None)
        own = OwnLabels(names, f"{LABELS} in the zip")
        yield Export(Path(folder) / name, own, preset if numbered else None)


def _members(path: Path) -> tuple[zipfile.ZipInfo, zipfile.ZipInfo] | None:
    """The entries of the model and of its labels, whatever folder they are in."""
    if not path.is_file() or not is_zip(path):
        return None
    try:
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
    except DAMAGED:
        return None
    if len(entries) > MAX_ENTRIES:
        return None
    models = _named(entries, (QUANTIZED, *FLOATS))
    labels = _named(entries, (LABELS,))
    return (models[0], labels[0]) if len(models) == len(labels) == 1 else None


def _named(entries: Sequence[zipfile.ZipInfo], names: Sequence[str]) -> list[zipfile.ZipInfo]:
    """Entries of these names; those that macOS adds, whose names begin otherwise, are not."""
    return [entry for entry in entries if PurePosixPath(entry.filename).name in names]


def _read(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, limit: int, path: Path) -> bytes:
    where = f"{path.name}: {entry.filename}"
    if stat.S_ISLNK(entry.external_attr >> 16):
        raise Refused(f"{where} is a link, not a file. Zip the files themselves.")
    try:
        with archive.open(entry) as file:
            content = file.read(limit + 1)
    except (*DAMAGED, zlib.error) as error:
        raise Refused(f"{where} is damaged: {error}. Download it again.") from error
    if len(content) > limit:
        raise Refused(f"{where} is larger than {limit / 1e6:g} MB, unlike any of its kind.")
    return content
