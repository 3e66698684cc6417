"""`mobilenet-gateway models recommend`."""

from typing import Annotated

import typer
from rich.console import Console

from models.commands import tables
from models.commands.terminal import CommandError, JsonOption, show


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

    from app.auto.limits import Limits
    from app.system.cores import usable_cores
    from models.recommendation import recommend as advice
    from models.recommendation.probe import probe
    from models.zoo.zoo import zoo

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
    show(data, lambda: tables.recommendation_table(rows), as_json)
