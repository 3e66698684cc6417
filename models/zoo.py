"""The checkpoints that somebody published, as typed records, and how one becomes a served file."""

import tomllib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, HttpUrl, model_validator

from app import __version__
from app.card import CARD_KEY, Accuracy, Family, Origin, Precision, Preprocessing, SourceFile
from models.checkpoints import tflite, torchvision
from models.checkpoints.canonical import Checkpoint
from models.export import Recipe, export, read_metadata
from models.graph import InputScaling
from models.labels import imagenet_labels
from models.layers import Padding

ZOO_FILE = Path(__file__).with_name("zoo.toml")
DEFAULT_MODEL = "mobilenet_v2_1.0_224"

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Channels = tuple[float, float, float]


class ZooError(Exception):
    """A zoo model is unknown, or cannot be had; the text says what to do."""


class Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class PackageOrigin(Record):
    """A member of a wheel on the Python package index."""

    package: str = Field(pattern=r"^[A-Za-z0-9_.\-]+==[0-9.]+$")
    sha256: Sha256
    member: str


class UrlOrigin(Record):
    """An address that gives the file itself."""

    url: HttpUrl


class ZooFile(Record):
    """A published file, pinned by its hash."""

    sha256: Sha256
    file_bytes: int = Field(gt=0)
    licence: str
    origins: tuple[PackageOrigin | UrlOrigin, ...]


class Format(Record):
    """What checkpoints of one kind of file have in common."""

    padding: Padding
    background: bool
    mean: Channels
    std: Channels
    batch_norm_epsilon: float | None = None
    preprocessing: Preprocessing

    @property
    def scaling(self) -> InputScaling:
        return InputScaling(self.mean, self.std)


class ZooModel(Record):
    """One model made of a checkpoint."""

    precision: Precision
    variant: str | None = None
    top1: float | None = None
    top5: float | None = None


class ZooCheckpoint(Record):
    """Weights as published."""

    family: Family
    alpha: float
    resolution: int
    format: Literal["torchvision", "tflite_float", "tflite_quantized"]
    files: tuple[str, ...] = Field(min_length=1)
    models: tuple[ZooModel, ...] = Field(min_length=1)


class Zoo(Record):
    """The whole of zoo.toml."""

    formats: dict[str, Format]
    sources: dict[str, str]
    files: dict[str, ZooFile]
    checkpoints: tuple[ZooCheckpoint, ...]

    @model_validator(mode="after")
    def _names_exist(self) -> Self:
        """What a checkpoint refers to has to stand in the other tables."""
        for checkpoint in self.checkpoints:
            if checkpoint.format not in self.formats or checkpoint.format not in self.sources:
                raise ValueError(f"format {checkpoint.format!r} is not described")
            if unknown := set(checkpoint.files) - self.files.keys():
                raise ValueError(f"no such file: {', '.join(sorted(unknown))}")
        return self


@dataclass(frozen=True, slots=True)
class Entry:
    """One model of the zoo with all that is known of it."""

    name: str
    precision: Precision
    recipe: Recipe
    checkpoint: ZooCheckpoint
    files: dict[str, ZooFile]
    batch_norm_epsilon: float | None

    @property
    def download_bytes(self) -> int:
        return sum(file.file_bytes for file in self.files.values())


@cache
def _table() -> Zoo:
    return Zoo.model_validate(tomllib.loads(ZOO_FILE.read_text("utf-8")))


def formats() -> dict[str, Format]:
    """What checkpoints of each kind of file have in common."""
    return _table().formats


@cache
def zoo() -> dict[str, Entry]:
    """Every model of zoo.toml by name.

    Raises:
        pydantic.ValidationError: a record has a missing, unknown or bad field.
    """
    table = _table()
    entries = [
        _entry(table, checkpoint, model)
        for checkpoint in table.checkpoints
        for model in checkpoint.models
    ]
    return {entry.name: entry for entry in entries}


def find(name: str) -> Entry:
    """The zoo's entry of that name.

    Raises:
        ZooError: there is none; the text lists those that are.
    """
    try:
        return zoo()[name]
    except KeyError:
        names = "\n  ".join(zoo())
        raise ZooError(f"no model {name!r} in the zoo; there are:\n  {names}") from None


def read_checkpoint(entry: Entry, paths: list[Path]) -> Checkpoint:
    """Read an entry's verified files.

    Raises:
        CheckpointError: a file is not what the entry says.
    """
    if entry.checkpoint.format == "torchvision":
        assert entry.batch_norm_epsilon is not None  # noqa: S101  the record of the format has it
        return torchvision.read(paths[0], eps=entry.batch_norm_epsilon)
    return tflite.read(paths, entry.recipe.family)


def export_entry(entry: Entry, locate: Callable[[Entry], list[Path]], store: Path) -> Path:
    """Export an entry from the files that `locate` finds for it into the store."""
    checkpoint = read_checkpoint(entry, locate(entry))
    return export(entry.recipe, checkpoint, entry.precision, store)


def is_current(entry: Entry, store: Path) -> bool:
    """Whether the store holds what exporting the entry again would write."""
    path = store / f"{entry.name}.onnx"
    if not path.is_file():
        return False
    try:
        metadata = read_metadata(path)
    except ValueError:
        return False
    card = entry.recipe.card(entry.precision).model_dump_json()
    return metadata.get(CARD_KEY) == card and metadata["producer_version"] == __version__


def _entry(table: Zoo, checkpoint: ZooCheckpoint, model: ZooModel) -> Entry:
    kind = table.formats[checkpoint.format]
    files = {name: table.files[name] for name in checkpoint.files}
    accuracy = None
    if model.top1 is not None:
        accuracy = Accuracy(
            top1=model.top1, top5=model.top5, source=table.sources[checkpoint.format]
        )
    recipe = Recipe(
        family=checkpoint.family,
        alpha=checkpoint.alpha,
        resolution=checkpoint.resolution,
        variant=model.variant,
        padding=kind.padding,
        scaling=kind.scaling,
        preprocessing=kind.preprocessing,
        background=kind.background,
        accuracy=accuracy,
        origin=Origin(
            kind="published",
            source=table.sources[checkpoint.format],
            files=tuple(SourceFile(name=name, sha256=file.sha256) for name, file in files.items()),
            licence=" AND ".join(sorted({file.licence for file in files.values()})),
        ),
        labels=imagenet_labels(),
    )
    return Entry(
        recipe.name(model.precision),
        model.precision,
        recipe,
        checkpoint,
        files,
        kind.batch_norm_epsilon,
    )
