"""The published checkpoints as typed records, and their export into the store."""

import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from difflib import get_close_matches
from functools import cache
from pathlib import Path

from app import __version__
from app.card.card import CARD_KEY, Accuracy, Origin, Precision, SourceFile, parse_card
from app.errors import CardError
from app.model import forms
from models.checkpoints.checkpoint import Checkpoint, CheckpointError
from models.checkpoints.keras import keras_h5
from models.checkpoints.tflite import tflite
from models.checkpoints.torch import timm, torchvision
from models.export.export import POST_TRAINING, Recipe, export
from models.export.exported import exported_form
from models.export.graph import OUTPUTS
from models.files.hashes import sha256_of
from models.files.onnx_file import read_model
from models.recipes.file import sha256_as_made, write_from_recipe
from models.recipes.recipe import Recipe as Int8Recipe
from models.recipes.recipe import read_recipe
from models.zoo.imagenet import imagenet_labels
from models.zoo.records import Format, Zoo, ZooCheckpoint, ZooFile, ZooModel

ZOO_FILE = Path(__file__).with_name("zoo.toml")
RECIPES = Path(__file__).with_name("recipes")  # NAME.json makes the model NAME
DEFAULT_MODEL = forms.DEFAULT_MODEL
DEFAULT_FORMS = (DEFAULT_MODEL, f"{DEFAULT_MODEL}_{POST_TRAINING}")  # what an installation brings


class ZooError(Exception):
    """A zoo model is unknown or unavailable; the text says what to do."""


class WrongWeights(ZooError):
    """Files exist, but they are not the weights of the model."""


@dataclass(frozen=True, slots=True)
class Entry:
    name: str
    precision: Precision
    recipe: Recipe
    checkpoint: ZooCheckpoint
    files: dict[str, ZooFile]
    format: Format
    int8_recipe: Int8Recipe | None = None

    @property
    def pinned(self) -> bool:
        """Whether the hash of every file is known; a first pull records missing ones."""
        return all(file.pinned for file in self.files.values())

    @property
    def download_bytes(self) -> int | None:
        """Total size of the files; None if a publisher gives no size."""
        sizes = [file.file_bytes for file in self.files.values()]
        return None if None in sizes else sum(size or 0 for size in sizes)

    def recipe_of(self, hashes: Mapping[str, str]) -> Recipe:
        """The recipe, with these hashes for the files that the zoo does not pin."""
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
    """The formats of checkpoints by name."""
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
    return {entry.name: entry for entry in _with_recipes(entries)}


def _with_recipes(entries: Iterable[Entry]) -> Iterator[Entry]:
    """Each entry, followed by the INT8 form that a recipe makes of it."""
    for entry in entries:
        yield entry
        path = RECIPES / f"{entry.name}_{POST_TRAINING}.json"
        if path.is_file():
            int8 = read_recipe(path)
            recipe = replace(entry.recipe, accuracy=None, post_training=int8.report)
            yield replace(entry, name=int8.name, precision="int8", recipe=recipe, int8_recipe=int8)


def find(name: str) -> Entry:
    """The zoo's entry of that name.

    Raises:
        ZooError: no entry has that name; the text lists similar names.
    """
    try:
        return zoo()[name]
    except KeyError:
        similar = get_close_matches(name, zoo(), n=5) or list(zoo())[:5]
        names = "".join(f"\n  {one}" for one in similar)
        raise ZooError(
            f"Unknown model {name!r} in the zoo. Similar names:{names}\n"
            f"`mobilenet-gateway models list` shows all {len(zoo())}."
        ) from None


def with_exact_integers(entry: Entry) -> Entry:
    """The entry with exactly the publisher's integers, which onnxruntime has slower kernels for.

    Raises:
        ZooError: the model does not have the publisher's integers.
    """
    if not entry.recipe.channel_scales:
        names = ", ".join(other.name for other in zoo().values() if other.recipe.channel_scales)
        raise ZooError(
            f"{entry.name} does not have its publisher's integers. Models that do: {names}."
        )
    return replace(entry, recipe=replace(entry.recipe, channel_scales=False))


def read_checkpoint(entry: Entry, paths: list[Path]) -> Checkpoint:
    """Read the verified files of an entry.

    Raises:
        CheckpointError: a file does not contain the weights of the entry.
    """
    recipe, reader, eps = entry.recipe, entry.format.reader, entry.format.batch_norm_epsilon
    if reader == "tflite":
        return tflite.read(paths, recipe.family)
    assert eps is not None  # noqa: S101  set in zoo.toml for the other readers
    match reader:
        case "keras_h5":
            return keras_h5.read(paths[0], recipe.family, eps=eps)
        case "torchvision":
            return torchvision.read(paths[0], eps=eps)
        case "timm":
            return timm.read(paths[0], recipe.family, recipe.design, eps=eps)


def export_entry(entry: Entry, locate: Callable[[Entry], list[Path]], store: Path) -> Path:
    """Export an entry into the store from the files that `locate` returns.

    The card of the exported model has the hash of every file, pinned or not.

    Raises:
        ZooError: `locate` raises it, or the files are not the weights of this entry.
        OSError: a file cannot be read, or the store cannot be written.
    """
    paths = locate(entry)
    unpinned = {
        name: sha256_of(path)
        for (name, file), path in zip(entry.files.items(), paths, strict=True)
        if not file.pinned
    }
    try:
        checkpoint = read_checkpoint(entry, paths)
        if entry.int8_recipe:
            float_model = exported_form(entry.recipe_of(unpinned), checkpoint)
            return write_from_recipe(float_model, entry.int8_recipe, store)
        return export(entry.recipe_of(unpinned), checkpoint, entry.precision, store)
    except (CheckpointError, ValueError) as error:
        raise WrongWeights(
            f"{', '.join(map(str, paths))} cannot be made into {entry.name}: {error}; "
            "replace it with the right file, or remove it and pull again"
        ) from error


def is_current(entry: Entry, store: Path) -> bool:
    """Whether exporting the entry again would write the same file as the one in the store.

    For a file that is not pinned, any hash in the stored card is accepted. Measurements in the
    stored card do not count. A file from before `logits` and `features` is not current.
    """
    path = store / f"{entry.name}.onnx"
    if not path.is_file():
        return False
    try:
        if entry.int8_recipe:
            return sha256_as_made(path) == entry.int8_recipe.file_sha256
        model = read_model(path, external_data=False)
        metadata = {item.key: item.value for item in model.metadata_props}
        stored = parse_card(metadata[CARD_KEY])
    except (ValueError, KeyError, CardError):
        return False
    hashes = {file.name: file.sha256 for file in stored.origin.files if file.sha256}
    card = entry.recipe_of(hashes).card(entry.precision)
    return (
        stored.model_copy(update={"measured": card.measured}) == card
        and {output.name for output in model.graph.output} == OUTPUTS
        and model.producer_version == __version__
    )


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
        integer_weights=kind.integer_weights,
        channel_scales=kind.integer_weights and model.precision == "int8",
    )
    return Entry(recipe.name(model.precision), model.precision, recipe, checkpoint, files, kind)
