"""This project's own service, started for a measurement."""

import sys
from pathlib import Path

from loadtest.host.server import Server, free_port

GATEWAY = Path(sys.executable).with_name("mobilenet-gateway")
ADMIN_KEY = "bench"


def missing(model: str, store: Path) -> str:
    """Say that a store lacks a model, and how to get it."""
    return f"{model} is not in {store}. To get it: `mobilenet-gateway models pull {model}`."


def start_gateway(
    store: Path, model: str, log: Path, *options: str, port: int | None = None
) -> Server:
    """Start the service with one model of a store.

    Raises:
        SystemExit: the store does not have it; the text says how to get it.
    """
    if not (store / f"{model}.onnx").is_file():
        raise SystemExit(f"error: {missing(model, store)}")
    models = ("--models", model, "--default-model", model)
    return _start(store, log, {}, *models, *options, port=port)


def start_default(store: Path, log: Path, *options: str) -> Server:
    """Start the service as it is installed: both forms of the default model, the better answers."""
    return _start(store, log, {}, *options)


def start_auto(store: Path, log: Path, *options: str) -> Server:
    """Start the service with all models of a store and `auto` as the default model."""
    env = {"GATEWAY_ADMIN_KEY": ADMIN_KEY}
    return _start(store, log, env, "--default-model", "auto", *options)


def measure_variants(server: Server) -> None:
    """Time every variant of a service that `start_auto` started."""
    server.request("POST", "/models/measure", headers={"X-API-Key": ADMIN_KEY}, timeout_s=120)


def _start(
    store: Path, log: Path, env: dict[str, str], *options: str, port: int | None = None
) -> Server:
    port = port or free_port()
    command = [str(GATEWAY), "serve", "--store", str(store), "--port", str(port)]
    # --measure-s 0: the service must not time variants while it is measured itself. The open loop
    # has up to 1024 connections.
    command += ["--log-level", "warning", "--measure-s", "0", "--max-connections", "1024"]
    command += options
    return Server(command, port, "/readyz", env=env, log=log)
