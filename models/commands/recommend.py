"""`mobilenet-gateway models recommend`."""

from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from models.commands import tables, terminal

if TYPE_CHECKING:
    from models.recommendation.recommend import Candidate


def recommend(
    max_latency_ms: Annotated[
        float | None,
        typer.Option(help="Maximum milliseconds to decode and classify a 1280 x 720 photo."),
    ] = None,
    max_service_memory_mb: Annotated[
        float | None,
        typer.Option(
            "--max-memory-mb",
            help="Maximum memory of the whole service process at its peak, in MB. (For "
            "`model=auto`, max_memory_mb counts weights and activations only.)",
        ),
    ] = None,
    max_madds: Annotated[int | None, typer.Option(help="Maximum multiply-adds per image.")] = None,
    max_params: Annotated[int | None, typer.Option(help="Maximum number of parameters.")] = None,
    min_top1: Annotated[float | None, typer.Option(help="Minimum top-1 accuracy in %.")] = None,
    as_json: terminal.JsonOption = False,
) -> None:
    """Recommend models that meet your limits on this machine.

    Prints the most accurate model of the zoo within the limits, then faster ones. Downloads
    nothing: costs are exact, and times are predicted after probing the machine for a second.
    """
    from pydantic import ValidationError

    from app.system.cores import usable_cores
    from models.recommendation import recommend as recommendation
    from models.recommendation.probe import probe
    from models.zoo.zoo import zoo

    try:
        limits = recommendation.RecommendationLimits(
            max_latency_ms=max_latency_ms,
            max_service_memory_mb=max_service_memory_mb,
            max_madds=max_madds,
            max_params=max_params,
            min_top1=min_top1,
        )
    except ValidationError as error:
        first = error.errors()[0]
        option = _option(str(first["loc"][0]))
        raise terminal.CommandError(f"{option}: {first['msg']}, not {first['input']}.") from error
    console = Console(stderr=True)
    with console.status("probing this machine") as status:
        probed = probe(lambda step: status.update(f"probing this machine: {step}"))
    offered = recommendation.candidates(zoo().values(), probed, usable_cores().count)
    chosen = recommendation.recommend(offered, limits)
    if not chosen:
        raise terminal.CommandError(_no_match(recommendation.best_for_each_limit(offered, limits)))
    rows = [tables.recommendation_row(each) for each in chosen]
    data = {"probe_s": round(probed.took_s, 3), "recommended": rows[0], "faster": rows[1:]}
    terminal.print_result(data, lambda: tables.recommendation_table(rows), as_json)


def _option(limit: str) -> str:
    return f"--{limit.replace('service_memory', 'memory').replace('_', '-')}"


def _no_match(best: "dict[str, Candidate]") -> str:
    """What each limit alone would allow at best."""
    each = (
        f"{_option(limit)} {candidate.value(limit):.4g} ({candidate.variant.name})"
        for limit, candidate in best.items()
    )
    return f"No model of the zoo meets all limits. The best value of each alone: {', '.join(each)}."
