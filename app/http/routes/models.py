"""/models: the loaded models, their cost and their times; reload and measure."""

import asyncio
import logging
import os
import socket
from dataclasses import asdict
from typing import Annotated

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response

from app.auto.pareto import Standing
from app.auto.pareto import frontier as pareto
from app.card.cost_at import scaled_cost, scaled_layers
from app.card.variant import variants_of
from app.errors import (
    BadQuery,
    Forbidden,
    ModelFileError,
    StoreUnusable,
    Unauthorized,
    UnknownModel,
)
from app.http.error_responses import documented
from app.http.routes.state import Current, NoParameters
from app.http.schemas import (
    DecodeRow,
    Frontier,
    LayersQuery,
    LayerTable,
    MeasureReport,
    ModelDetail,
    ModelList,
    RankedVariant,
    ReloadReport,
    summarize,
    variant_row,
)
from app.model.head_model import weight_bytes

MEASURE_S = 60.0  # maximum; requests have priority
log = logging.getLogger(__name__)
router = APIRouter(prefix="/models", tags=["models"], responses=documented(BadQuery, Unauthorized))


@router.get("")
async def models(gateway: Current, _: NoParameters) -> ModelList:
    """All models with their cost; one that is not loaded yet is loaded when it is first used."""
    store = gateway.store
    return ModelList(
        models=[
            summarize(
                model.card,
                model.file_bytes,
                model.providers,
                default=model.name == gateway.default_model,
                state=model.state,
            )
            for model in store
        ],
        broken=store.broken,
    )


@router.post("/reload", responses=documented(Forbidden, StoreUnusable))
async def reload(request: Request, gateway: Current, _: NoParameters) -> ReloadReport:
    """Read the store again; needs the admin key. A broken file leaves its old model loaded."""
    gateway.keys.check_admin(request.headers.raw)
    try:
        changes = await gateway.reloader.reload()
    except ModelFileError as error:
        log.error("Reload failed: %s", error)
        raise StoreUnusable("Cannot read the store. The server's log has the reason.") from error
    replica = f"{socket.gethostname()}:{os.getpid()}"
    return ReloadReport.model_validate({**asdict(changes), "replica": replica})


@router.post("/measure", responses=documented(Forbidden))
async def measure(request: Request, gateway: Current, _: NoParameters) -> MeasureReport:
    """Time every model at every resolution on this device; needs the admin key."""
    gateway.keys.check_admin(request.headers.raw)
    report = await gateway.measurer.measure_exclusively(MEASURE_S)
    return MeasureReport(
        measured=report.measured, left_out=report.left_out, took_s=round(report.took_s, 3)
    )


@router.get("/frontier", response_model=Frontier)
async def frontier(gateway: Current, _: NoParameters) -> Response:
    """All variants: those on the Pareto frontier, and what beats each of the others."""
    variants = gateway.chooser.variants
    timings = {
        variant.key: timing
        for variant in variants
        if (timing := gateway.timings.observed(variant)) is not None
    }
    idle = gateway.timings.measured
    decoding = [
        DecodeRow(
            image_bytes=image_bytes,
            resolution=resolution,
            decode_ms=timing.p50_ms,
            decode_p95_ms=timing.p95_ms,
            samples=timing.samples,
        )
        for image_bytes, resolution, timing in gateway.timings.decode_table()
    ]
    step = gateway.chooser.brownout.step if gateway.chooser.brownout else 0

    def row(standing: Standing) -> RankedVariant:
        key = standing.variant.key
        return RankedVariant(
            **variant_row(standing.variant, timings.get(key), idle.get(key)).model_dump(),
            on_frontier=standing.on_frontier,
            beaten_by=standing.beaten_by.name if standing.beaten_by else None,
        )

    def content() -> str:
        standings = pareto(variants, {key: timing.p50_ms for key, timing in timings.items()})
        rows = [row(standing) for standing in standings]
        return Frontier(variants=rows, decoding=decoding, brownout_step=step).model_dump_json()

    # On another thread: with hundreds of variants this takes some milliseconds.
    return Response(await asyncio.to_thread(content), media_type="application/json")


@router.get("/{name}", responses=documented(UnknownModel))
async def model(name: str, gateway: Current, _: NoParameters) -> ModelDetail:
    """The model card of one model, with its variants."""
    loaded = gateway.store.get(name)
    card = loaded.card.model_dump(mode="json")
    del card["cost"]["layers"]
    rows = [
        variant_row(
            variant, gateway.timings.observed(variant), gateway.timings.measured.get(variant.key)
        )
        for variant in variants_of(
            loaded.card, weight_bytes(loaded), gateway.settings.auto_resolutions
        )
    ]
    return ModelDetail(
        state=loaded.state,
        file_bytes=loaded.file_bytes,
        providers=loaded.providers,
        variants=rows,
        card=card,
    )


@router.get("/{name}/layers", responses=documented(UnknownModel))
async def layers(name: str, gateway: Current, query: Annotated[LayersQuery, Query()]) -> LayerTable:
    """Shapes, parameters, multiply-adds and memory of all layers, at any resolution."""
    card = gateway.store.get(name).card
    if query.resolution in (None, card.resolution):  # the card has it for any network
        madds, peak, rows = card.cost.madds, card.cost.peak_activation_bytes, card.cost.layers
    else:
        cost = scaled_cost(card, query.resolution)
        madds, peak = cost.madds, cost.peak_activation_bytes
        rows = tuple(scaled_layers(card, query.resolution))
    return LayerTable(
        model=card.name,
        resolution=query.resolution or card.resolution,
        madds=madds,
        peak_activation_bytes=peak,
        layers=list(rows),
    )
