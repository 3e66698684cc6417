"""Classifies images through a running mobilenet-gateway: `Client`, `AsyncClient`.

What is named here is loaded when it is first used, so that a command line that only knows of this
package does not pay for its HTTP library.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mobilenet_gateway_client._async_client import AsyncClient
    from mobilenet_gateway_client._calls import Options
    from mobilenet_gateway_client._client import Client
    from mobilenet_gateway_client._errors import (
        BadQuery,
        ClientError,
        Closed,
        DeadlineExceeded,
        ImageProblem,
        NotAGateway,
        Problem,
        Unauthorized,
        Unavailable,
        UnknownModel,
        Unreachable,
        UnreadableImage,
    )
    from mobilenet_gateway_client._results import (
        Classification,
        Info,
        Layer,
        LayerTable,
        Model,
        Prediction,
    )
    from mobilenet_gateway_client._retry import Retry

_HOME = {
    "_async_client": ("AsyncClient",),
    "_calls": ("Options",),
    "_client": ("Client",),
    "_errors": (
        "BadQuery", "ClientError", "Closed", "DeadlineExceeded", "ImageProblem", "NotAGateway",
        "Problem", "Unauthorized", "Unavailable", "UnknownModel", "Unreachable", "UnreadableImage",
    ),
    "_results": ("Classification", "Info", "Layer", "LayerTable", "Model", "Prediction"),
    "_retry": ("Retry",),
}  # fmt: skip
_MODULE = {name: module for module, names in _HOME.items() for name in names}

__all__ = [
    "AsyncClient",
    "BadQuery",
    "Classification",
    "Client",
    "ClientError",
    "Closed",
    "DeadlineExceeded",
    "ImageProblem",
    "Info",
    "Layer",
    "LayerTable",
    "Model",
    "NotAGateway",
    "Options",
    "Prediction",
    "Problem",
    "Retry",
    "Unauthorized",
    "Unavailable",
    "UnknownModel",
    "Unreachable",
    "UnreadableImage",
]


def __getattr__(name: str) -> Any:
    if name not in _MODULE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULE[name]}"), name)
