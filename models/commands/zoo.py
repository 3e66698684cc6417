"""`mobilenet-gateway models list`, `show` and `pull`."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.progress import DownloadColumn, TransferSpeedColumn

from app.card.card import CARD_KEY, parse_card
from app.errors import ModelFileError
from app.system.data_folder import default_store
from models.commands import tables, terminal
from models.commands.named_model import find_model


def list_models(
    words: Annotated[
        list[str] | None,
        typer.Argument(help="List only names that contain all of these, such as keras."),
    ] = None,
    store: terminal.StoreOption = None,
    as_json: terminal.JsonOption = False,
) -> None:
    """List published models, their cost, which are in the store, and your own models there."""
    # NumPy takes longer to import than `serve` takes to start.
    from app.heads.head_file import SUFFIX as HEAD_SUFFIX
    from app.model.files import file_stem
    from models.zoo.zoo import zoo

    def wanted(name: str) -> bool:
        return all(word in name for word in words or [])

    folder = terminal.store_folder(store)
    rows = [
        tables.zoo_row(entry, in_store=(folder / f"{name}.onnx").is_file())
        for name, entry in zoo().items()
        if wanted(name)
    ]
    paths = [*sorted(folder.glob("*.onnx")), *sorted(folder.glob(f"*{HEAD_SUFFIX}"))]
    stems = {path: file_stem(path) for path in paths if not path.name.startswith(".")}
    own = list(
        _own_rows(path for path, stem in stems.items() if stem not in zoo() and wanted(stem))
    )
    if not rows and not own:
        raise terminal.CommandError(
            f"No model name contains {' and '.join(words or [])}. "
            "`mobilenet-gateway models list` lists all models."
        )
    terminal.print_result([*rows, *own], lambda: tables.models_table(rows, own), as_json)


def _own_rows(paths: Iterable[Path]) -> Iterator[dict[str, Any]]:
    """Rows of models that the zoo does not have, and of taught heads.

    Files that are no models are named on stderr.
    """
    from app.heads.head_file import read_head
    from app.model.files import is_head
    from models.export.export import read_metadata

    for path in paths:
        try:
            if is_head(path):
                card = read_head(path)[0].card
            else:
                card = parse_card(read_metadata(path)[CARD_KEY])
        except KeyError:
            terminal.print_status(
                f"{path} has no model card. Import it: `mobilenet-gateway models import {path}`."
            )
        except (ValueError, OSError, ModelFileError) as error:
            terminal.print_status(f"{path}: {error}")
        else:
            yield tables.model_row(card)


def show_model(
    name: Annotated[str, typer.Argument(help="Model of the store or the zoo, or any .onnx file.")],
    store: terminal.StoreOption = None,
    as_json: terminal.JsonOption = False,
) -> None:
    """Print a model card: origin, licence, accuracy and cost."""
    path, card = find_model(name, terminal.store_folder(store))
    if card is None:
        raise terminal.CommandError(f"{path} has no model card.")
    data = card.model_dump(mode="json", exclude={"labels": True, "cost": {"layers"}})
    terminal.print_result(data, lambda: tables.card_table(data), as_json)


def pull(
    names: Annotated[
        list[str] | None,
        typer.Argument(help="Models of the zoo. [default: both forms of the default model]"),
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="Pull all models of the zoo.")] = False,
    store: terminal.StoreOption = None,
    weights: Annotated[
        list[Path],
        typer.Option(
            envvar="GATEWAY_WEIGHTS",
            help="Folder with weight files to use instead of downloads; repeatable.",
        ),
    ] = [],  # noqa: B006  Typer copies it
    cache: Annotated[
        Path | None,
        typer.Option(help="Folder for downloads. [default: `weights` beside the default store]"),
    ] = None,
    offline: Annotated[bool, typer.Option("--offline", help="Do not use the network.")] = False,
    force: Annotated[
        bool, typer.Option("--force", help="Export models again that are in the store.")
    ] = False,
    exact: Annotated[
        bool,
        typer.Option(
            "--exact",
            help="Give `_int8` models exactly the publisher's integers, for the answers of LiteRT. "
            "They take up to twice the time.",
        ),
    ] = False,
) -> None:
    """Download checkpoints and export them into the store.

    Every file is verified by its SHA-256. If the publisher gives none, the hash of the first
    download is recorded and checked from then on.
    """
    from models.zoo.fetch import Fetcher
    from models.zoo.zoo import (
        DEFAULT_FORMS,
        ZooError,
        export_entry,
        find,
        is_current,
        with_exact_integers,
        zoo,
    )

    folder, cache = terminal.store_folder(store), cache or default_store().parent / "weights"
    if everything and names:
        raise terminal.CommandError("Give either names or --all, not both.")
    if missing := [str(path) for path in weights if not path.is_dir()]:
        raise terminal.CommandError(f"--weights: not a folder: {', '.join(missing)}.")
    failed = []
    with (
        terminal.errors_reported(ZooError, OSError),
        terminal.progress_bars(DownloadColumn(), TransferSpeedColumn()) as progress,
    ):
        fetcher = Fetcher(cache, tuple(weights), progress, offline, _print_waiting)
        # Resolve every name first, so that a typo fails before any download.
        entries = [find(name) for name in (zoo() if everything else names or DEFAULT_FORMS)]
        if exact:
            entries = [
                with_exact_integers(entry)
                for entry in entries
                if entry.recipe.channel_scales or not everything
            ]
        for entry in entries:
            if not force and is_current(entry, folder):
                terminal.print_status(f"{entry.name}: already in {folder}")
                continue
            try:
                with fetcher.recording_hashes(entry):
                    path = export_entry(entry, fetcher.locate, folder)
            except ZooError as error:
                if not everything:
                    raise
                failed.append(f"{entry.name}: {error}")
                continue
            terminal.print_status(f"{entry.name}: {path} ({path.stat().st_size / 1e6:.1f} MB)")
    if failed:
        raise terminal.CommandError("\n".join(["Some models could not be pulled:", *failed]))


def _print_waiting(cache: Path) -> None:
    terminal.print_status(f"Waiting for another pull that downloads into {cache}.")
