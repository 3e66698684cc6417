"""This project's own service in the comparison."""

from pathlib import Path

from loadtest.host.gateway import start_gateway
from loadtest.host.server import Server
from loadtest.load.body import PATH, Body, raw

GATEWAY_NAME = "mobilenet-gateway"


class Gateway:
    """The service with its default settings."""

    name = GATEWAY_NAME
    title = f"**{GATEWAY_NAME}**"
    settings = "the defaults, raw JPEG body; request log off"
    path = PATH

    def __init__(self, version: str) -> None:
        self.version = version

    def body(self, image: bytes) -> Body:
        return raw(image)

    def serve(self, model: Path, cores: int, log: Path) -> Server:
        return start_gateway(model.parent, model.stem, log)
