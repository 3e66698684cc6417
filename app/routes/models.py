"""GET /models: what is loaded and what it costs."""

import logging
from dataclasses import asdict
from typing import Annotated

from fastapi import APIRouter, Query, Request

from app.errors import (
    BadQuery,
    Forbidden,
    ModelFileError,
    StoreUnusable,
    Unauthorized,
    UnknownModel,
)
from app.gateway import Current
from app.problem import documented
from app.schemas import LayerTable, ModelDetail, ModelList, NoQuery, ReloadReport, summarise

log = logging.getLogger(__name__)
router = APIRouter(prefix="/models", tags=["models"], responses=documented(BadQuery, Unauthorized))


@router.get("")
async def models(gateway: Current, _: Annotated[NoQuery, Query()]) -> ModelList:
    """Every loaded model with its cost."""
    store = gateway.store
    return ModelList(
        models=[
            summarise(
                model.card, model.file_bytes, model.providers, default=model.name == store.default
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
        changes = await gateway.reload()
    except ModelFileError as error:
        log.error("not reloaded: %s", error)
        raise StoreUnusable("the store cannot be read; the server's log says why") from error
    return ReloadReport.model_validate(asdict(changes))


@router.get("/{name}", responses=documented(UnknownModel))
async def model(name: str, gateway: Current, _: Annotated[NoQuery, Query()]) -> ModelDetail:
    """The whole card of one model."""
    found = gateway.store.get(name)
    card = found.card.model_dump(mode="json")
    del card["cost"]["layers"]
    return ModelDetail(file_bytes=found.file_bytes, providers=found.providers, card=card)


@router.get("/{name}/layers", responses=documented(UnknownModel))
async def layers(name: str, gateway: Current, _: Annotated[NoQuery, Query()]) -> LayerTable:
    """Shape, parameters, multiply-adds and memory of every layer."""
    card = gateway.store.get(name).card
    return LayerTable(model=card.name, resolution=card.resolution, layers=list(card.cost.layers))
