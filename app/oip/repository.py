"""The model repository extension: which models there are; load one, unload one."""

import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from app.errors import BadRequest, ModelFileError, StoreUnusable
from app.oip.request import VERSION
from app.oip.tensors import shown
from app.service.gateway import Gateway
from app.wire import Headers

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class IndexEntry:
    """One model of the store."""

    name: str
    version: str
    state: Literal["READY", "UNAVAILABLE"]
    reason: str


def index(gateway: Gateway, *, ready: bool = False) -> list[IndexEntry]:
    """Every model of the store, or those that are `ready`.

    Raises:
        StoreUnusable: the folder cannot be read.
    """
    try:
        reasons = gateway.store.index()
    except ModelFileError as error:
        raise _unusable(error) from error
    return [
        IndexEntry(name, VERSION, "UNAVAILABLE" if reason else "READY", reason or "")
        for name, reason in reasons.items()
        if reason is None or not ready
    ]


async def load(
    gateway: Gateway, headers: Headers, name: str, parameters: Mapping[str, Any]
) -> None:
    """Load one model of the store, or load it again; needs the admin key.

    Raises:
        Unauthorized, Forbidden: the admin key was not sent, or none is set.
        BadRequest: a model is what its file says; there is nothing to override.
        UnknownModel: no file of the store has that name.
        StoreUnusable: the file cannot be served; what was loaded goes on.
    """
    gateway.keys.check_admin(headers)
    _refuse(parameters.keys(), "load")
    try:
        await gateway.reloader.load(name)
    except ModelFileError as error:
        raise _unusable(error) from error


async def unload(
    gateway: Gateway, headers: Headers, name: str, parameters: Mapping[str, Any]
) -> None:
    """Stop serving one model; needs the admin key. Requests under way are answered.

    Raises:
        Unauthorized, Forbidden: the admin key was not sent, or none is set.
        BadRequest: there is nothing to choose but `unload_dependents`.
        UnknownModel: none of that name is loaded.
        LastModel: no other is loaded.
    """
    gateway.keys.check_admin(headers)
    _refuse(parameters.keys() - {"unload_dependents"}, "unload")  # no model depends on another
    await gateway.reloader.unload(name)


def _refuse(names: Iterable[str], call: str) -> None:
    if unknown := sorted(names):
        raise BadRequest(f"{call}: unsupported parameter {shown(unknown[0])!r}.")


def _unusable(error: ModelFileError) -> StoreUnusable:
    log.error("Not loaded: %s", error)
    return StoreUnusable("Cannot load the model. The server's log has the reason.")
