"""Classifies images through a running mobilenet-gateway: `Client`, `AsyncClient`."""

from mobilenet_gateway_client._async_client import AsyncClient
from mobilenet_gateway_client._client import Client
from mobilenet_gateway_client._dataframe import to_dataframe
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
from mobilenet_gateway_client._options import Options
from mobilenet_gateway_client._results import (
    Classification,
    ClassScore,
    Info,
    Layer,
    LayerTable,
    Model,
)
from mobilenet_gateway_client._retry import Retry
from mobilenet_gateway_client._teaching.records import Example, TaughtHead, TrainingReport

__version__ = "0.1.0"

__all__ = [
    "AsyncClient",
    "BadQuery",
    "ClassScore",
    "Classification",
    "Client",
    "ClientError",
    "Closed",
    "DeadlineExceeded",
    "Example",
    "ImageProblem",
    "Info",
    "Layer",
    "LayerTable",
    "Model",
    "NotAGateway",
    "Options",
    "Problem",
    "Retry",
    "TaughtHead",
    "TrainingReport",
    "Unauthorized",
    "Unavailable",
    "UnknownModel",
    "Unreachable",
    "UnreadableImage",
    "__version__",
    "to_dataframe",
]


def __dir__() -> list[str]:
    return __all__
