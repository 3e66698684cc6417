"""/heads: examples of one's own classes, and the heads that are taught on them.

Every route needs the admin key: the images are of somebody's door.
"""

import asyncio
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request
from fastapi.responses import Response
from starlette.requests import ClientDisconnect

from app.errors import (
    CLASSIFICATION_ERRORS,
    BadName,
    BadQuery,
    BadRequest,
    CannotTrain,
    Forbidden,
    NameTaken,
    NotFound,
    NothingToUndo,
    RequestError,
    SlowBody,
    Stopping,
    StorageFull,
    StoreUnusable,
    TrainingRuns,
    Unauthorized,
    UnknownCapture,
)
from app.http.error_responses import documented
from app.http.routes.predict import BINARY, BODY, DEADLINE, query_parameters
from app.http.routes.short_body import read_short_body
from app.http.routes.state import Current, CurrentRecord, NoParameters
from app.request.json_text import SHORT, JsonStructure, read_model
from app.request.query_string import parse_query
from app.training.messages import (
    AddedExamples,
    ExampleQuery,
    ExampleRow,
    HeadDetail,
    HeadList,
    NewLabel,
    Report,
    added_row,
    example_row,
    head_detail,
    summary,
)
from app.training.taught_heads import LazyHeads, TaughtHeads
from app.training.upload import ExampleUpload

CAPTURES = {
    "type": "object",
    "properties": {"captures": {"type": "array", "items": {"type": "string"}, "minItems": 1}},
    "required": ["captures"],
    "description": "Ids of captures to keep as examples; they leave /captures.",
}
IMAGES = {
    **BODY,
    "description": f"{BODY['description']} JSON may name captures instead.",
    "content": {
        **BODY["content"],
        "application/json": {
            "schema": {"anyOf": [BODY["content"]["application/json"]["schema"], CAPTURES]},
            "example": {"captures": ["20261130T120000000000Z"]},
        },
    },
}
FILE: dict[int | str, dict[str, Any]] = {200: {"content": {"application/octet-stream": BINARY}}}
IMAGE: dict[int | str, dict[str, Any]] = {200: {"content": {"image/*": BINARY}}}


async def _taught_heads(request: Request, gateway: Current) -> TaughtHeads:
    """The folder of heads, for an administrator, if the settings name one."""
    if gateway.settings.heads is not None:
        gateway.keys.check_admin(request.headers.raw)
    heads: LazyHeads = request.app.state.heads
    return await heads.get(gateway)


Heads = Annotated[TaughtHeads, Depends(_taught_heads)]
router = APIRouter(
    prefix="/heads",
    tags=["teaching"],
    responses=documented(Unauthorized, Forbidden, NotFound, BadQuery, StoreUnusable),
)


@router.get("")
async def list_heads(heads: Heads, _: NoParameters) -> HeadList:
    """All heads that are taught over HTTP."""
    states = await asyncio.to_thread(heads.states)
    return HeadList(heads=[summary(state) for state in states])


@router.get("/{name}")
async def head(name: str, heads: Heads, _: NoParameters) -> HeadDetail:
    """One head with its examples, and what its training found out."""
    state = await asyncio.to_thread(heads.state, name)
    return head_detail(state, await asyncio.to_thread(heads.report, name))


@router.delete("/{name}", status_code=204, responses=documented(TrainingRuns))
async def delete_head(name: str, heads: Heads, _: NoParameters) -> None:
    """Delete a head with its examples, and stop serving it."""
    await heads.trainer.delete(name)


@router.post(
    "/{name}/examples/{label:path}",
    status_code=201,
    response_model=AddedExamples,
    openapi_extra={
        "requestBody": IMAGES,
        "parameters": [*query_parameters(ExampleQuery), DEADLINE],
    },
    responses=documented(*CLASSIFICATION_ERRORS, UnknownCapture, BadName, NameTaken, StorageFull),
)
async def add_examples(
    name: str, label: str, heads: Heads, gateway: Current, record: CurrentRecord, request: Request
) -> AddedExamples:
    """Keep one or more images with this label; they are on disk when this is answered."""
    base = parse_query(ExampleQuery, request.scope["query_string"]).base
    heads.check_new(name, label, base)
    upload = ExampleUpload(gateway, record)
    try:
        upload.open(request.headers.raw)
        added = await upload.answer(
            request.stream(), lambda images: heads.add(name, label, base, images)
        )
    except RequestError as error:
        upload.fail(error)
        raise
    except ClientDisconnect:
        raise upload.client_gone() from None
    finally:
        upload.close()
    if len(added) == 1 and isinstance(added[0], RequestError):
        record.error = added[0].type
        raise added[0]
    return AddedExamples(examples=[added_row(one) for one in added])


@router.get("/{name}/examples/{id}", response_class=Response, responses=IMAGE)
async def example(name: str, id: str, heads: Heads, _: NoParameters) -> Response:
    """The image of an example, as it was sent."""
    image, content_type = await heads.image(name, id)
    return Response(image, media_type=content_type, headers={"X-Content-Type-Options": "nosniff"})


@router.patch(
    "/{name}/examples/{id}",
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": NewLabel.model_json_schema()}},
        }
    },
    responses=documented(BadRequest, BadName, SlowBody, StorageFull),
)
async def relabel(
    name: str, id: str, heads: Heads, gateway: Current, _: NoParameters, request: Request
) -> ExampleRow:
    """Give an example another label."""
    body = await read_short_body(request, gateway.settings.deadline_ms)
    JsonStructure(SHORT).add(body)
    return example_row(await heads.relabel(name, id, read_model(NewLabel, body).label))


@router.delete("/{name}/examples/{id}", status_code=204)
async def delete_example(name: str, id: str, heads: Heads, _: NoParameters) -> None:
    """Delete an example."""
    await heads.remove_example(name, id)


@router.delete("/{name}/labels/{label:path}", status_code=204)
async def delete_label(name: str, label: str, heads: Heads, _: NoParameters) -> None:
    """Delete a label with its examples."""
    await heads.remove_label(name, label)


@router.post(
    "/{name}/train",
    response_model=Report,
    responses=documented(TrainingRuns, CannotTrain, Stopping, StorageFull),
)
async def train(name: str, heads: Heads, _: NoParameters) -> Response:
    """Train a head on its examples and serve it; the answer says how good it is.

    A process of low priority does it; meanwhile the old head serves.
    """
    return Response(await heads.trainer.train(name), media_type="application/json")


@router.post(
    "/{name}/undo", response_model=Report, responses=documented(TrainingRuns, NothingToUndo)
)
async def undo(name: str, heads: Heads, _: NoParameters) -> Response:
    """Serve the head before the last training again, once."""
    return Response(await heads.trainer.undo(name), media_type="application/json")


@router.get("/{name}/head.npz", response_class=Response, responses=FILE)
async def head_file(name: str, heads: Heads, _: NoParameters) -> Response:
    """The file of the served head, for the store of another gateway."""
    headers = {"Content-Disposition": f'attachment; filename="{name}.head.npz"'}
    return Response(await heads.file(name), media_type="application/octet-stream", headers=headers)
