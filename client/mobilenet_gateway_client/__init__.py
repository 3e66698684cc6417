"""Classifies images through a running mobilenet-gateway: `Client`, `AsyncClient`.

What is named here is loaded when it is first used, so that a command line that only knows of this
package does not pay for its HTTP library.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mobilenet_gateway_client.async_client import AsyncClient
    from mobilenet_gateway_client.calls import Options
    from mobilenet_gateway_client.client import Client
    from mobilenet_gateway_client.errors import (
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
    from mobilenet_gateway_client.results import (
        Classification,
        Info,
        Layer,
        LayerTable,
        Model,
        Prediction,
    )
    from mobilenet_gateway_client.retry import Retry

_HOME = {
    "async_client": ("AsyncClient",),
    "calls": ("Options",),
    "client": ("Client",),
    "errors": (
        "BadQuery", "ClientError", "Closed", "DeadlineExceeded", "ImageProblem", "NotAGateway",
        "Problem", "Unauthorized", "Unavailable", "UnknownModel", "Unreachable", "UnreadableImage",
    ),
    "results": ("Classification", "Info", "Layer", "LayerTable", "Model", "Prediction"),
    "retry": ("Retry",),
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
