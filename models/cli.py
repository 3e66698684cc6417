"""`mobilenet-gateway models ...`: prepare models and tell what they cost."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, cast

import typer
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

from app.card import CARD_KEY, Cost, Family, ModelCard, Origin, Precision, parse_card
from models import tables
from models.adoption.command import import_model
from models.comparison_command import compare_with_papers
from models.cost import network_cost
from models.evaluate_command import evaluate
from models.network import Network
from models.quantize_command import quantize
from models.terminal import CommandError, JsonOption, StoreOption
from models.terminal import errors_reported as _errors
from models.terminal import show as _print
from models.terminal import store_folder as _store

commands = typer.Typer(
    help="Prepare models and tell what they cost.", no_args_is_help=True, rich_markup_mode=None
)

DEFAULT_CACHE = Path("models/weights")
WeightsOption = Annotated[
    list[Path],
    typer.Option(
        envvar="GATEWAY_WEIGHTS",
        help="Folder with weight files that are used instead of the network.",
    ),
]
FamilyOption = Annotated[str, typer.Option(help="mobilenet_v1 or mobilenet_v2.")]
AlphaOption = Annotated[float, typer.Option(help="Width multiplier.")]
ResolutionOption = Annotated[int, typer.Option(help="Side of the input, a multiple of 32.")]


@commands.command("list")
def list_models(
    words: Annotated[
        list[str] | None, typer.Argument(help="Only names with all of these in them, like `keras`.")
    ] = None,
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """The published checkpoints that can be pulled, what they cost, and which are in the store."""
    from models.zoo import zoo

    folder = _store(store)
    names = [name for name in zoo() if all(word in name for word in words or [])]
    if not names:
        raise CommandError(f"no model has {' and '.join(words or [])} in its name")
    rows = [
        tables.zoo_row(
            entry.recipe.card(entry.precision),
            entry.download_bytes,
            pinned=entry.pinned,
            in_store=_stored(folder, name),
        )
        for name, entry in zoo().items()
        if name in names
    ]
    _print(rows, lambda: tables.zoo_table(rows), as_json)


@commands.command()
def pull(
    names: Annotated[
        list[str] | None, typer.Argument(help="Models of the zoo; default: the default model.")
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="Pull the whole zoo.")] = False,
    store: StoreOption = None,
    weights: WeightsOption = [],  # noqa: B006  Typer copies it
    cache: Annotated[Path, typer.Option(help="Where downloads are kept.")] = DEFAULT_CACHE,
    offline: Annotated[bool, typer.Option("--offline", help="Never use the network.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Export again what is there.")] = False,
) -> None:
    """Fetch checkpoints, verify them and export them into the store."""
    from models.checkpoints.canonical import CheckpointError
    from models.fetch import Fetcher
    from models.zoo import DEFAULT_MODEL, ZooError, export_entry, find, is_current, zoo

    folder, console = _store(store), Console(stderr=True)
    if everything and names:
        raise CommandError("give names or --all, not both")
    if missing := [str(path) for path in weights if not path.is_dir()]:
        raise CommandError(f"{', '.join(missing)} is not a folder of weights")
    with _errors(ZooError, CheckpointError, OSError), _progress(console) as progress:
        fetcher = Fetcher(cache, tuple(weights), progress, offline)
        failed = []
        for name in list(zoo()) if everything else names or [DEFAULT_MODEL]:
            entry = find(name)
            if not force and is_current(entry, folder):
                console.print(f"{name}: already in {folder}")
                continue
            try:
                with fetcher.proving(entry):
                    path = export_entry(entry, fetcher.locate, folder)
            except ZooError as error:
                if not everything:
                    raise
                failed.append(f"{name}: {error}")
                continue
            console.print(f"{name}: {path} ({path.stat().st_size / 1e6:.1f} MB)")
    if failed:
        raise CommandError("\n".join(["not all could be pulled:", *failed]))


@commands.command()
def export(
    family: FamilyOption = "mobilenet_v2",
    alpha: AlphaOption = 1.0,
    resolution: ResolutionOption = 224,
    store: StoreOption = None,
) -> None:
    """Export any width and resolution with random weights, to study its cost and latency.

    The card says "untrained", and the service refuses it unless GATEWAY_ALLOW_UNTRAINED is set.
    """
    from models.export import Recipe, export, untrained
    from models.labels import imagenet_labels
    from models.zoo import formats

    kind = formats()["tflite_float" if family == "mobilenet_v1" else "torchvision"]
    with _errors(ValueError, OverflowError, OSError):
        recipe = Recipe(
            family=_family(family),
            alpha=alpha,
            resolution=resolution,
            variant="untrained",
            padding=kind.padding,
            scaling=kind.scaling,
            preprocessing=kind.preprocessing,
            background=False,
            accuracy=None,
            origin=Origin(kind="untrained", source="random weights", files=(), licence=None),
            labels=imagenet_labels(),
        )
        path = export(recipe, untrained(recipe.network()), "fp32", _store(store))
    Console(stderr=True).print(f"{path} ({path.stat().st_size / 1e6:.1f} MB)")


commands.command("import")(import_model)
commands.command()(quantize)
commands.command()(evaluate)


@commands.command()
def cost(
    context: typer.Context,
    model: Annotated[
        str | None, typer.Argument(help="A model of the store or the zoo, or any .onnx file.")
    ] = None,
    family: FamilyOption = "mobilenet_v2",
    alpha: AlphaOption = 1.0,
    resolution: Annotated[int | None, typer.Option(help="Side of the input.")] = None,
    classes: Annotated[int, typer.Option(min=1, help="Number of classes.")] = 1000,
    expansion: Annotated[int, typer.Option(min=1, help="Expansion factor t of V2.")] = 6,
    precision: Annotated[str, typer.Option(help="fp32 or int8.")] = "fp32",
    layers: Annotated[bool, typer.Option("--layers", help="A row for every layer.")] = False,
    compare: Annotated[
        bool, typer.Option("--compare", help="The papers' tables, printed and found, instead.")
    ] = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="With --compare: print CSV.")] = False,
    plot: Annotated[
        Path | None,
        typer.Option(help="With --compare: draw accuracy against MAdds into this file."),
    ] = None,
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Parameters, multiply-adds and memory for one image, before anything is downloaded."""
    if compare or as_csv or plot:
        with _errors(ValueError, OSError):
            _refuse_besides(context, {"compare", "as_csv", "plot", "as_json"})
            compare_with_papers(compare=compare, as_csv=as_csv, as_json=as_json, plot=plot)
        return
    with _errors(ValueError, OverflowError, OSError):
        if model is not None:
            _refuse_given(context, model, "family", "alpha", "classes", "expansion", "precision")
            title, result = _cost_of_model(model, resolution, _store(store))
        else:
            side = 224 if resolution is None else resolution
            network = _define(_family(family), alpha, side, classes, expansion)
            if precision not in ("fp32", "int8"):
                raise ValueError(f"precision is {precision!r}; it has to be fp32 or int8")
            title = f"{family}_{alpha}_{side}"
            result = network_cost(network, cast(Precision, precision))
    data = {"model": title, **result.model_dump(exclude=set() if layers else {"layers"})}
    _print(data, lambda: tables.cost_table(title, result, layers=layers), as_json)


@commands.command()
def recommend(
    max_latency_ms: Annotated[
        float | None,
        typer.Option(help="Milliseconds for a photo of 1280 x 720, decoded and classified."),
    ] = None,
    max_memory_mb: Annotated[
        float | None, typer.Option(help="Megabytes for the whole service, at its peak.")
    ] = None,
    max_madds: Annotated[int | None, typer.Option(help="Multiply-adds for one image.")] = None,
    max_params: Annotated[int | None, typer.Option(help="Parameters.")] = None,
    min_top1: Annotated[float | None, typer.Option(help="Percent of top-1 accuracy.")] = None,
    as_json: JsonOption = False,
) -> None:
    """The most accurate models of the zoo within limits on this machine, before any download.

    Costs are exact; milliseconds are predicted from them after a probe of the machine, which takes
    about a second.
    """
    from pydantic import ValidationError

    from app.cores import usable_cores
    from app.limits import Limits
    from models import recommend as advice
    from models.probe import probe
    from models.zoo import zoo

    values = {
        "max_latency_ms": max_latency_ms,
        "max_memory_mb": max_memory_mb,
        "max_madds": max_madds,
        "max_params": max_params,
        "min_top1": min_top1,
    }
    try:
        limits = Limits.model_validate(values)
    except ValidationError as error:
        [fault, *_] = error.errors()
        option = f"--{fault['loc'][0]}".replace("_", "-")
        raise CommandError(f"{option}: {fault['msg']}, not {fault['input']}") from error
    console = Console(stderr=True)
    with console.status("probing this machine") as status:
        found = probe(lambda what: status.update(f"probing this machine: {what}"))
    offered = advice.candidates(zoo().values(), found, usable_cores().count)
    kept = advice.recommend(offered, limits)
    if not kept:
        raise CommandError(advice.nearest(offered, limits))
    rows = [tables.recommendation_row(each) for each in kept]
    data = {"probe_s": round(found.took_s, 3), "recommended": rows[0], "faster": rows[1:]}
    _print(data, lambda: tables.recommendation_table(rows), as_json)


@commands.command()
def show(
    name: Annotated[
        str, typer.Argument(help="A model of the store or the zoo, or any .onnx file.")
    ],
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """The card of a model: origin, licence, preprocessing, accuracy, cost."""
    path, card = _find(name, _store(store))
    if card is None:
        raise CommandError(f"{path} has no model card")
    data = card.model_dump(mode="json", exclude={"labels": True, "cost": {"layers"}})
    _print(data, lambda: tables.card_table(data), as_json)


def _cost_of_model(model: str, resolution: int | None, folder: Path) -> tuple[str, Cost]:
    """By the definition where there is one, else by a walk over the graph."""
    from models.graph_cost import graph_cost

    path, card = _find(model, folder)
    if card is None or card.alpha is None or card.origin.kind == "imported":
        assert path is not None  # noqa: S101  whatever is in the zoo is of the family
        side = card.resolution if card and resolution is None else resolution
        return f"{path.stem} at {side or 'its own size'}", graph_cost(path, side)
    if resolution is None or resolution == card.resolution:
        return card.name, card.cost
    network = _at_resolution(card, card.family, card.alpha, resolution)
    return f"{card.name} at {resolution}", network_cost(network, card.precision)


def _at_resolution(card: ModelCard, family: Family, alpha: float, resolution: int) -> Network:
    """The network of a card at another size. What a publisher changed of it, only the zoo knows."""
    from models.zoo import zoo

    if entry := zoo().get(card.name):
        return replace(entry.recipe, resolution=resolution).network()
    [classes] = [row.output_shape[0] for row in card.cost.layers if row.kind == "linear"]
    return _define(family, alpha, resolution, classes, 6)


def _refuse_given(context: typer.Context, model: str, *options: str) -> None:
    """A model brings its own values: one that is given besides would be ignored.

    Raises:
        ValueError: one of these options is given.
    """
    for option in options:
        source = context.get_parameter_source(option)
        if source is not None and source.name != "DEFAULT":
            raise ValueError(f"--{option} is set by {model} itself; leave out one of the two")


def _refuse_besides(context: typer.Context, allowed: set[str]) -> None:
    """A comparison is of fixed networks: whatever else is given would be ignored.

    Raises:
        ValueError: another option is given.
    """
    for name in sorted(context.params.keys() - allowed):
        source = context.get_parameter_source(name)
        if source is not None and source.name == "COMMANDLINE":
            given = name if name == "model" else f"--{name}"
            raise ValueError(f"{given} has no meaning with --compare; leave it out")


def _define(family: Family, alpha: float, resolution: int, classes: int, expansion: int) -> Network:
    from models.mobilenet_v1 import mobilenet_v1
    from models.mobilenet_v2 import mobilenet_v2

    if family == "mobilenet_v1":
        return mobilenet_v1(alpha, resolution, classes)
    return mobilenet_v2(alpha, resolution, classes, expansion)


def _family(text: str) -> Family:
    if text not in ("mobilenet_v1", "mobilenet_v2"):
        raise ValueError(f"family is {text!r}; it has to be mobilenet_v1 or mobilenet_v2")
    return cast(Family, text)


def _find(name: str, folder: Path) -> tuple[Path | None, ModelCard | None]:
    """A file by its path or by its name in the store, and its card; or a zoo model's card.

    Raises:
        CommandError: there is neither.
        CardError: the card in the file is not valid.
    """
    from models.zoo import ZooError, find

    path = Path(name) if name.endswith(".onnx") else folder / f"{name}.onnx"
    if path.is_file():
        text = _metadata(path).get(CARD_KEY)
        return path, parse_card(text) if text else None
    if name.endswith(".onnx"):
        raise CommandError(f"{path} is not a file")
    with _errors(ZooError):
        entry = find(name)
    return None, entry.recipe.card(entry.precision)


def _metadata(path: Path) -> dict[str, str]:
    from models.export import read_metadata

    try:
        return read_metadata(path)
    except ValueError as error:
        raise CommandError(str(error)) from error


def _stored(folder: Path, name: str) -> bool:
    return (folder / f"{name}.onnx").is_file()


@contextmanager
def _progress(console: Console) -> Iterator[Callable[[str, int, int], None]]:
    """A bar for each file that is fetched."""
    columns = (
        TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn(),
    )  # fmt: skip
    quiet = not console.is_terminal
    with Progress(*columns, console=console, transient=True, disable=quiet) as bars:
        tasks: dict[str, Any] = {}

        def update(name: str, done_bytes: int, total_bytes: int) -> None:
            if name not in tasks:
                tasks[name] = bars.add_task(name, total=total_bytes)
            bars.update(tasks[name], completed=done_bytes)

        yield update
