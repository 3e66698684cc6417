"""The model repository extension: list, load and unload models of the store."""

import asyncio
import logging
from collections.abc import Iterable, Mapping
from typing import Any

from app.errors import BadRequest, ModelFileError, StoreUnusable
from app.model.model import Model
from app.oip.request import VERSION
from app.oip.tensors import excerpt
from app.service.gateway import Gateway
from app.wire import Headers

log = logging.getLogger(__name__)


def index(gateway: Gateway, *, ready: bool) -> list[dict[str, str]]:
    """List the models of the store, all or only those that are `ready`.

    Raises:
        StoreUnusable: the folder cannot be read.
    """
    try:
        reasons = gateway.store.index()
    except ModelFileError as error:
        raise _store_unusable(error) from error
    return [
        {
            "name": name,
            "version": VERSION,
            "state": "UNAVAILABLE" if reason else "READY",
            "reason": reason or "",
        }
        for name, reason in reasons.items()
        if reason is None or not ready
    ]


async def load(
    gateway: Gateway, headers: Headers, name: str, parameters: Mapping[str, Any]
) -> None:
    """Load one model of the store, or load it again; needs the admin key.

    Raises:
        Unauthorized, Forbidden: the admin key was not sent, or none is set.
        BadRequest: there are parameters; none is supported.
        UnknownModel: no file of the store has that name.
        StoreUnusable: the file cannot be served; a loaded model of that name stays loaded.
    """
    gateway.keys.check_admin(headers)
    _reject_parameters(parameters.keys(), "load")
    try:
        await gateway.reloader.load(name)
    except ModelFileError as error:
        raise _store_unusable(error) from error


async def unload(
    gateway: Gateway, headers: Headers, name: str, parameters: Mapping[str, Any]
) -> None:
    """Stop serving one model; needs the admin key. In-flight requests are answered.

    Raises:
        Unauthorized, Forbidden: the admin key was not sent, or none is set.
        BadRequest: there is a parameter other than `unload_dependents`.
        UnknownModel: no loaded model has that name.
        LastModel: no other model is loaded.
        ModelInUse: heads on it are loaded.
        StoreUnusable: the model that would answer by default instead cannot be loaded.
    """
    gateway.keys.check_admin(headers)
    # No model is loaded along with another, so unload_dependents changes nothing.
    _reject_parameters(parameters.keys() - {"unload_dependents"}, "unload")
    try:
        await gateway.reloader.unload(name)
    except ModelFileError as error:
        raise _store_unusable(error) from error


async def make_ready(model: Model) -> None:
    """Load a model that otherwise is loaded when it is first used.

    Raises:
        StoreUnusable: its file cannot be loaded.
    """
    if model.state != "loaded":
        try:
            await asyncio.to_thread(model.load)
        except ModelFileError as error:
            raise _store_unusable(error) from error


def _reject_parameters(names: Iterable[str], call: str) -> None:
    if unknown := sorted(names):
        raise BadRequest(f"{call}: unsupported parameter {excerpt(unknown[0])!r}.")


def _store_unusable(error: ModelFileError) -> StoreUnusable:
    log.error("Not loaded: %s", error)
    return StoreUnusable("Cannot load the model. The server's log has the reason.")
