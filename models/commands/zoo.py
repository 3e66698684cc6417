"""`mobilenet-gateway models list`, `show` and `pull`: the zoo and the store."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import DownloadColumn, TransferSpeedColumn

from models.commands import tables
from models.commands.named_model import find_model
from models.commands.terminal import (
    CommandError,
    JsonOption,
    StoreOption,
    errors_reported,
    show,
    store_folder,
    task_bars,
    tell,
)

DEFAULT_CACHE = Path("models/weights")


def list_models(
    words: Annotated[
        list[str] | None, typer.Argument(help="Only names with all of these in them, like `keras`.")
    ] = None,
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """The published checkpoints that can be pulled, what they cost, and which are in the store."""
    from models.zoo.zoo import zoo

    folder = store_folder(store)
    rows = [
        tables.zoo_row(
            entry.recipe.card(entry.precision),
            entry.download_bytes,
            pinned=entry.pinned,
            in_store=(folder / f"{name}.onnx").is_file(),
        )
        for name, entry in zoo().items()
        if all(word in name for word in words or [])
    ]
    if not rows:
        raise CommandError(f"no model has {' and '.join(words or [])} in its name")
    show(rows, lambda: tables.zoo_table(rows), as_json)


def show_model(
    name: Annotated[
        str, typer.Argument(help="A model of the store or the zoo, or any .onnx file.")
    ],
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """The card of a model: origin, licence, preprocessing, accuracy, cost."""
    path, card = find_model(name, store_folder(store))
    if card is None:
        raise CommandError(f"{path} has no model card")
    data = card.model_dump(mode="json", exclude={"labels": True, "cost": {"layers"}})
    show(data, lambda: tables.card_table(data), as_json)


def pull(
    names: Annotated[
        list[str] | None, typer.Argument(help="Models of the zoo; default: the default model.")
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="Pull the whole zoo.")] = False,
    store: StoreOption = None,
    weights: Annotated[
        list[Path],
        typer.Option(
            envvar="GATEWAY_WEIGHTS",
            help="Folder with weight files that are used instead of the network.",
        ),
    ] = [],  # noqa: B006  Typer copies it
    cache: Annotated[Path, typer.Option(help="Where downloads are kept.")] = DEFAULT_CACHE,
    offline: Annotated[bool, typer.Option("--offline", help="Never use the network.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Export again what is there.")] = False,
) -> None:
    """Fetch checkpoints, verify them and export them into the store."""
    from models.zoo.fetch import Fetcher
    from models.zoo.zoo import DEFAULT_MODEL, ZooError, export_entry, find, is_current, zoo

    folder = store_folder(store)
    if everything and names:
        raise CommandError("give names or --all, not both")
    if missing := [str(path) for path in weights if not path.is_dir()]:
        raise CommandError(f"{', '.join(missing)} is not a folder of weights")
    columns = (DownloadColumn(), TransferSpeedColumn())
    failed = []
    with errors_reported(ZooError, OSError), task_bars(Console(stderr=True), columns) as progress:
        fetcher = Fetcher(cache, tuple(weights), progress, offline, _tell_of_another)
        # all of them first: a slip of the pen shall not come up behind a long download
        entries = [find(name) for name in (zoo() if everything else names or [DEFAULT_MODEL])]
        for entry in entries:
            if not force and is_current(entry, folder):
                tell(f"{entry.name}: already in {folder}")
                continue
            try:
                with fetcher.proving(entry):
                    path = export_entry(entry, fetcher.locate, folder)
            except ZooError as error:
                if not everything:
                    raise
                failed.append(f"{entry.name}: {error}")
                continue
            tell(f"{entry.name}: {path} ({path.stat().st_size / 1e6:.1f} MB)")
    if failed:
        raise CommandError("\n".join(["not all could be pulled:", *failed]))


def _tell_of_another(cache: Path) -> None:
    tell(f"another pull is fetching into {cache}: waiting for it")
