"""The checkpoints that somebody published, as typed records, and how one becomes a served file."""

import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from difflib import get_close_matches
from functools import cache
from pathlib import Path

from app import __version__
from app.card.card import CARD_KEY, Accuracy, Origin, Precision, SourceFile, parse_card
from app.errors import CardError
from models.checkpoints.checkpoint import Checkpoint, CheckpointError
from models.checkpoints.keras import keras_h5
from models.checkpoints.tflite import tflite
from models.checkpoints.torch import timm, torchvision
from models.export.export import Recipe, export, read_metadata
from models.files.hashes import sha256_of
from models.zoo.imagenet import imagenet_labels
from models.zoo.records import Format, Zoo, ZooCheckpoint, ZooFile, ZooModel

ZOO_FILE = Path(__file__).with_name("zoo.toml")
DEFAULT_MODEL = "mobilenet_v2_1.0_224"


class ZooError(Exception):
    """A zoo model is unknown, or cannot be had; the text says what to do."""


class NotTheWeights(ZooError):
    """Files are there, but they are not those that a model is made of."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One model of the zoo with all that is known of it."""

    name: str
    precision: Precision
    recipe: Recipe
    checkpoint: ZooCheckpoint
    files: dict[str, ZooFile]
    format: Format

    @property
    def pinned(self) -> bool:
        """Whether every file's hash is known; a first pull records those that are not."""
        return all(file.pinned for file in self.files.values())

    @property
    def download_bytes(self) -> int | None:
        """Size of the files; None if a publisher gives none."""
        sizes = [file.file_bytes for file in self.files.values()]
        return None if None in sizes else sum(size or 0 for size in sizes)

    def recipe_of(self, hashes: Mapping[str, str]) -> Recipe:
        """The recipe for files with these hashes, where the zoo pins no others."""
        origin = self.recipe.origin
        files = tuple(
            file if file.sha256 else file.model_copy(update={"sha256": hashes.get(file.name)})
            for file in origin.files
        )
        return replace(self.recipe, origin=origin.model_copy(update={"files": files}))


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
        for checkpoint in table.all_checkpoints()
        for model in checkpoint.models
    ]
    return {entry.name: entry for entry in entries}


def find(name: str) -> Entry:
    """The zoo's entry of that name.

    Raises:
        ZooError: there is none; the text has those with the most similar names.
    """
    try:
        return zoo()[name]
    except KeyError:
        similar = get_close_matches(name, zoo(), n=5) or list(zoo())[:5]
        names = "".join(f"\n  {one}" for one in similar)
        raise ZooError(
            f"no model {name!r} in the zoo; near to that are:{names}\n"
            f"`mobilenet-gateway models list` shows all {len(zoo())}."
        ) from None


def read_checkpoint(entry: Entry, paths: list[Path]) -> Checkpoint:
    """Read an entry's verified files.

    Raises:
        CheckpointError: a file is not what the entry says.
    """
    recipe, eps = entry.recipe, entry.format.batch_norm_epsilon
    match entry.format.reader:
        case "keras_h5":
            assert eps is not None  # noqa: S101  the table has it
            return keras_h5.read(paths[0], recipe.family, eps=eps)
        case "torchvision":
            assert eps is not None  # noqa: S101  as above
            return torchvision.read(paths[0], eps=eps)
        case "timm":
            assert eps is not None  # noqa: S101  as above
            return timm.read(paths[0], recipe.family, recipe.design, eps=eps)
        case "tflite":
            return tflite.read(paths, recipe.family)


def export_entry(entry: Entry, locate: Callable[[Entry], list[Path]], store: Path) -> Path:
    """Export an entry from the files that `locate` finds for it into the store.

    The card of the exported file has the hash of every file, pinned or not.

    Raises:
        ZooError: what `locate` raises, or the files are not the weights of this entry.
        OSError: a file cannot be read, or the store not be written.
    """
    paths = locate(entry)
    unpinned = {
        name: sha256_of(path)
        for (name, file), path in zip(entry.files.items(), paths, strict=True)
        if not file.pinned
    }
    try:
        checkpoint = read_checkpoint(entry, paths)
        return export(entry.recipe_of(unpinned), checkpoint, entry.precision, store)
    except (CheckpointError, ValueError) as error:
        raise NotTheWeights(
            f"{', '.join(map(str, paths))} cannot be made into {entry.name}: {error}; "
            "put the right file in its place, or remove it and pull again"
        ) from error


def is_current(entry: Entry, store: Path) -> bool:
    """Whether the store holds what exporting the entry again would write.

    Of a file that is not pinned, the hash that the card in the store names is good enough, and
    what was measured of a model does not make it another one.
    """
    path = store / f"{entry.name}.onnx"
    if not path.is_file():
        return False
    try:
        metadata = read_metadata(path)
        stored = parse_card(metadata[CARD_KEY])
    except (ValueError, KeyError, CardError):
        return False
    hashes = {file.name: file.sha256 for file in stored.origin.files if file.sha256}
    card = entry.recipe_of(hashes).card(entry.precision)
    stored = stored.model_copy(update={"measured": card.measured})
    return stored == card and metadata["producer_version"] == __version__


def _entry(table: Zoo, checkpoint: ZooCheckpoint, model: ZooModel) -> Entry:
    kind = table.formats[checkpoint.format]
    every = table.all_files()
    files = {name: every[name] for name in checkpoint.files}
    publisher = table.sources[checkpoint.format]
    accuracy = None
    if model.top1 is not None:
        source = checkpoint.source or publisher
        accuracy = Accuracy(top1=model.top1, top5=model.top5, source=source)
    recipe = Recipe(
        family=checkpoint.family,
        alpha=checkpoint.alpha,
        resolution=checkpoint.resolution,
        variant=model.variant,
        padding=kind.padding,
        scaling=kind.scaling,
        preprocessing=checkpoint.preprocessing or kind.preprocessing,
        background=kind.background,
        accuracy=accuracy,
        origin=Origin(
            kind="published",
            source=publisher,
            files=tuple(SourceFile(name=name, sha256=file.sha256) for name, file in files.items()),
            licence=" AND ".join(sorted({file.licence for file in files.values()})),
        ),
        labels=imagenet_labels(),
        design=checkpoint.design,
    )
    return Entry(recipe.name(model.precision), model.precision, recipe, checkpoint, files, kind)
