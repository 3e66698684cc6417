"""`mobilenet-gateway models cost`: of a network by its dials, of a model, or of the papers."""

from pathlib import Path
from typing import Annotated, cast

import typer

from app.card.card import Cost, Precision
from app.errors import BadQuery
from models.commands import tables
from models.commands.compare import compare_with_papers
from models.commands.named_model import find_model
from models.commands.terminal import (
    AlphaOption,
    FamilyOption,
    JsonOption,
    StoreOption,
    errors_reported,
    show,
    store_folder,
)

BY_DIALS = ("family", "alpha", "classes", "expansion", "precision")
WITH_COMPARE = {"compare", "as_csv", "plot", "as_json"}


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
        with errors_reported(ValueError, OSError):
            others = sorted(context.params.keys() - WITH_COMPARE)
            _refuse_given(context, others, "has no meaning with --compare; leave it out")
            compare_with_papers(compare=compare, as_csv=as_csv, as_json=as_json, plot=plot)
        return
    with errors_reported(ValueError, OverflowError, OSError):
        if model is not None:
            _refuse_given(context, BY_DIALS, f"is set by {model} itself; leave out one of the two")
            title, result = _of_model(model, resolution, store_folder(store))
        else:
            if family == "mobilenet_v1":
                _refuse_given(context, ("expansion",), "is of mobilenet_v2; leave it out")
            side = 224 if resolution is None else resolution
            title = f"{family}_{alpha}_{side}"
            result = _by_dials(family, alpha, side, classes, expansion, precision)
    data = {"model": title, **result.model_dump(exclude=set() if layers else {"layers"})}
    show(data, lambda: tables.cost_table(title, result, layers=layers), as_json)


def _by_dials(
    family: str, alpha: float, resolution: int, classes: int, expansion: int, precision: str
) -> Cost:
    from models.network.cost import network_cost
    from models.network.design import Design, check_family, define

    if precision not in ("fp32", "int8"):
        raise ValueError(f"precision is {precision!r}; it has to be fp32 or int8")
    design = Design(expansion=expansion)
    network = define(check_family(family), alpha, resolution, classes, design=design)
    return network_cost(network, cast(Precision, precision))


def _of_model(model: str, resolution: int | None, folder: Path) -> tuple[str, Cost]:
    """From the card, or by a walk over the graph of a file that others made."""
    from models.network.cost import cost_at
    from models.onnx_cost.graph_cost import graph_cost

    path, card = find_model(model, folder)
    if card is None:
        assert path is not None  # noqa: S101  whatever is in the zoo has a card
        return f"{path.stem} at {resolution or 'its own size'}", graph_cost(path, resolution)
    if resolution is None or resolution == card.resolution:
        return card.name, card.cost
    title = f"{card.name} at {resolution}"
    try:
        return title, cost_at(card, resolution)
    except BadQuery:
        if path is None or resolution not in card.resolutions:
            raise
        return title, graph_cost(path, resolution)  # maps of others need not halve evenly


def _refuse_given(context: typer.Context, names: tuple[str, ...] | list[str], why: str) -> None:
    """Refuse what would be ignored.

    Raises:
        ValueError: one of these is given on the command line.
    """
    for name in names:
        source = context.get_parameter_source(name)
        if source is not None and source.name == "COMMANDLINE":
            given = name if name == "model" else f"--{name}"
            raise ValueError(f"{given} {why}")
