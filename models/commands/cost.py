"""`mobilenet-gateway models cost`: of a network, of a model, or of the papers' networks."""

import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, cast

import typer

from app.card.card import Cost, Precision
from app.errors import BadQuery
from models.commands import tables, terminal
from models.commands.named_model import find_model

NETWORK_OPTIONS = ("family", "alpha", "classes", "expansion", "precision")
COMPARE_OPTIONS = {"compare", "as_csv", "plot", "as_json"}


def cost(
    context: typer.Context,
    model: Annotated[
        str | None,
        typer.Argument(help="Model of the store or the zoo, or any file to import."),
    ] = None,
    family: terminal.FamilyOption = "mobilenet_v2",
    alpha: terminal.AlphaOption = 1.0,
    resolution: Annotated[
        int | None, typer.Option(help="Resolution. [default: the model's, or 224]")
    ] = None,
    classes: Annotated[int, typer.Option(min=1, help="Number of classes.")] = 1000,
    expansion: Annotated[int, typer.Option(min=1, help="Expansion factor t of mobilenet_v2.")] = 6,
    precision: Annotated[str, typer.Option(help="fp32 or int8.")] = "fp32",
    layers: Annotated[bool, typer.Option("--layers", help="Print one row per layer.")] = False,
    compare: Annotated[
        bool, typer.Option("--compare", help="Compare the papers' figures with computed ones.")
    ] = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="With --compare: print CSV.")] = False,
    plot: Annotated[
        Path | None,
        typer.Option(help="With --compare: draw accuracy over MAdds into this file."),
    ] = None,
    store: terminal.StoreOption = None,
    as_json: terminal.JsonOption = False,
) -> None:
    """Print the parameters, multiply-adds and memory of a model.

    Without a model, the cost of the network that --family, --alpha and the other options define.
    All figures are for one image and need no download.
    """
    if compare or as_csv or plot:
        with terminal.errors_reported(ValueError, OSError):
            others = sorted(context.params.keys() - COMPARE_OPTIONS)
            _reject_options(context, others, "has no effect with --compare. Remove it.")
            if not compare:
                raise ValueError("--csv and --plot need --compare.")
            if as_csv and as_json:
                raise ValueError("Use either --csv or --json, not both.")
            _compare_with_papers(as_csv=as_csv, as_json=as_json, plot=plot)
        return
    with terminal.errors_reported(ValueError, OverflowError, OSError):
        if model is not None:
            _reject_options(
                context, NETWORK_OPTIONS, f"is fixed by {model}. Remove one of the two."
            )
            title, result = _model_cost(model, resolution, terminal.store_folder(store))
        else:
            if family == "mobilenet_v1":
                _reject_options(context, ("expansion",), "applies to mobilenet_v2 only. Remove it.")
            resolution = 224 if resolution is None else resolution
            title = f"{family}_{alpha}_{resolution}"
            result = _network_cost(family, alpha, resolution, classes, expansion, precision)
    data = {"model": title, **result.model_dump(exclude=set() if layers else {"layers"})}
    terminal.print_result(data, lambda: tables.cost_table(title, result, layers=layers), as_json)


def _compare_with_papers(*, as_csv: bool, as_json: bool, plot: Path | None) -> None:
    from models.commands.comparison_tables import comparison_tables
    from models.papers import comparison
    from models.papers.accuracy_plot import draw

    if plot is not None:
        draw(plot)
        terminal.print_status(str(plot))
    if as_csv:
        sys.stdout.write(comparison.as_csv())
    else:
        terminal.print_result(comparison.as_data(), comparison_tables, as_json)


def _network_cost(
    family: str, alpha: float, resolution: int, classes: int, expansion: int, precision: str
) -> Cost:
    from models.network.cost import network_cost
    from models.network.design import Design, check_family, define

    if precision not in ("fp32", "int8"):
        raise ValueError(f"Unknown precision {precision!r}. Supported: fp32, int8.")
    design = Design(expansion=expansion)
    network = define(check_family(family), alpha, resolution, classes, design=design)
    return network_cost(network, cast(Precision, precision))


def _model_cost(model: str, resolution: int | None, folder: Path) -> tuple[str, Cost]:
    """Cost from the card, or from the graph or the weights of a file without a card."""
    from models.network.cost import cost_at
    from models.onnx_cost.graph_cost import graph_cost

    file = Path(model)
    if file.suffix != ".onnx" and file.is_file() and not (folder / f"{model}.onnx").is_file():
        from models.importing.cost import file_cost  # here: it reads every format

        return file_cost(file, resolution)
    path, card = find_model(model, folder)
    if card is None:
        assert path is not None  # noqa: S101  models of the zoo have a card
        return f"{path.stem} at {resolution or 'its own size'}", graph_cost(path, resolution)
    if resolution is None or resolution == card.resolution:
        return card.name, card.cost
    title = f"{card.name} at {resolution}"
    try:
        return title, cost_at(card, resolution)
    except BadQuery:
        if path is None or resolution not in card.resolutions:
            raise
        # Feature maps of imported models may not scale evenly.
        return title, graph_cost(path, resolution)


def _reject_options(context: typer.Context, names: Iterable[str], reason: str) -> None:
    for name in names:
        source = context.get_parameter_source(name)
        if source is not None and source.name == "COMMANDLINE":
            given = name if name == "model" else f"--{name}"
            raise ValueError(f"{given} {reason}")
