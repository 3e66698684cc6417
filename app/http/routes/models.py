"""GET /models: what is loaded and what it costs."""

import logging
from dataclasses import asdict
from typing import Annotated

from fastapi import APIRouter, Query, Request

from app.auto.pareto import frontier as pareto
from app.card.cost_at import scaled_cost, scaled_layers
from app.errors import (
    BadQuery,
    Forbidden,
    ModelFileError,
    StoreUnusable,
    Unauthorized,
    UnknownModel,
)
from app.http.error_responses import documented
from app.http.routes.state import Current
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
    summarise,
    variant_row,
)
from app.request.query_string import NoQuery

MEASURE_S = 60.0  # at most, requests going first
log = logging.getLogger(__name__)
router = APIRouter(prefix="/models", tags=["models"], responses=documented(BadQuery, Unauthorized))


@router.get("")
async def models(gateway: Current, _: Annotated[NoQuery, Query()]) -> ModelList:
    """Every loaded model with its cost."""
    store = gateway.store
    return ModelList(
        models=[
            summarise(
                model.card,
                model.file_bytes,
                model.providers,
                default=model.name == gateway.default_model,
            )
            for model in store
        ],
        broken=store.broken,
    )


@router.post("/reload", responses=documented(Forbidden, StoreUnusable))
async def reload(
    request: Request, gateway: Current, _: Annotated[NoQuery, Query()]
) -> ReloadReport:
    """Read the store again; needs the admin key. What is broken leaves the old model serving."""
    gateway.keys.check_admin(request.headers.raw)
    try:
        changes = await gateway.reloader.reload()
    except ModelFileError as error:
        log.error("Reload failed: %s", error)
        raise StoreUnusable("Cannot read the store. The server's log has the reason.") from error
    return ReloadReport.model_validate(asdict(changes))


@router.post("/measure", responses=documented(Forbidden))
async def measure(
    request: Request, gateway: Current, _: Annotated[NoQuery, Query()]
) -> MeasureReport:
    """Time every model at every resolution on this device; needs the admin key."""
    gateway.keys.check_admin(request.headers.raw)
    report = await gateway.measurer.measure_in_turn(MEASURE_S)
    return MeasureReport(
        measured=report.measured, left_out=report.left_out, took_s=round(report.took_s, 3)
    )


@router.get("/frontier")
async def frontier(gateway: Current, _: Annotated[NoQuery, Query()]) -> Frontier:
    """Every variant, which of them nothing beats, and what beats each of the others."""
    variants = gateway.chooser.variants
    seen = {
        variant.key: found
        for variant in variants
        if (found := gateway.timings.observed(variant)) is not None
    }
    standings = pareto(variants, {key: found.p50_ms for key, found in seen.items()})
    return Frontier(
        variants=[
            RankedVariant(
                **variant_row(standing.variant, seen.get(standing.variant.key)).model_dump(),
                on_frontier=standing.on_frontier,
                beaten_by=standing.beaten_by.name if standing.beaten_by else None,
            )
            for standing in standings
        ],
        decoding=[
            DecodeRow(
                image_bytes=image_bytes,
                resolution=resolution,
                decode_ms=found.p50_ms,
                decode_p95_ms=found.p95_ms,
                samples=found.samples,
            )
            for image_bytes, resolution, found in gateway.timings.decode_table()
        ],
        brownout_step=gateway.chooser.brownout.step if gateway.chooser.brownout else 0,
    )


@router.get("/{name}", responses=documented(UnknownModel))
async def model(name: str, gateway: Current, _: Annotated[NoQuery, Query()]) -> ModelDetail:
    """The whole card of one model."""
    found = gateway.store.get(name)
    card = found.card.model_dump(mode="json")
    del card["cost"]["layers"]
    rows = [
        variant_row(variant, gateway.timings.observed(variant))
        for variant in gateway.chooser.variants
        if variant.model == name
    ]
    return ModelDetail(
        file_bytes=found.file_bytes, providers=found.providers, variants=rows, card=card
    )


@router.get("/{name}/layers", responses=documented(UnknownModel))
async def layers(name: str, gateway: Current, query: Annotated[LayersQuery, Query()]) -> LayerTable:
    """Shape, parameters, multiply-adds and memory of every layer, at any resolution."""
    card = gateway.store.get(name).card
    if query.resolution in (None, card.resolution):  # known for any network, not only the family's
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
