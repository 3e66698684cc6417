"""Runs the application under uvicorn, with a graceful shutdown."""

import asyncio
import logging
import os
import signal
import socket
from functools import partial
from importlib import import_module
from types import FrameType
from typing import Any

import uvicorn

from app.environment import variable
from app.errors import SettingError
from app.http.application import Application, open_cameras
from app.http.listener import Listener
from app.http.protocol import Protocol
from app.service import slow_bodies
from app.service.gateway import Gateway
from app.service.lifecycle import FLUSH_S
from app.settings import Settings
from app.system import memory
from app.system.descriptors import connections_within_limit

log = logging.getLogger(__name__)
KEEP_ALIVE_S = 75
LOOPBACK = ("127.", "::1]", "::ffff:127.")  # how an address starts that only this machine reaches
STEP_S = 0.3  # between the steps of closing, which `stop_timeout_s` does not include


class Server(uvicorn.Server):
    """A graceful shutdown in order: not ready, reject new work, answer accepted work, close.

    uvicorn alone closes its sockets first, so that a load balancer that has not noticed yet gets
    refused connections instead of a 503.
    """

    def __init__(self, config: uvicorn.Config, gateway: Gateway) -> None:
        super().__init__(config)
        self.gateway = gateway
        self._shutdown_task: asyncio.Task[None] | None = None

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Start the graceful shutdown; a second signal closes all connections at once."""
        if self.gateway.lifecycle.stopping:
            asyncio.get_running_loop().call_soon_threadsafe(self._cut_off)
            return
        self.gateway.lifecycle.stopping = True
        asyncio.get_running_loop().call_soon_threadsafe(self._start_shutdown)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup([])
        listeners = [self._listen(listening) for listening in sockets or ()]
        self.servers = listeners  # type: ignore[assignment]  # with what uvicorn uses of one
        if hasattr(signal, "SIGHUP"):
            loop = asyncio.get_running_loop()
            loop.add_signal_handler(signal.SIGHUP, self._reload)
        connections: Any = self.server_state.connections  # each a `Protocol`
        self.gateway.body_quota.make_room = partial(slow_bodies.end_largest, connections)
        memory.resume_garbage_collection()
        for server in self.servers:
            for sock in server.sockets:
                log.info("listening on %s", address(self.config, sock))
                if not self.gateway.keys.required:
                    warn_if_reachable(address(self.config, sock))

    def _listen(self, listening: socket.socket) -> Listener:
        """Accept connections; uvicorn's own servers do so without limits."""
        config, settings = self.config, self.gateway.settings

        def connect() -> Protocol:
            return Protocol(config, self.server_state, self.lifespan.state)

        limit = connections_within_limit(settings.max_connections)
        if limit < settings.max_connections:
            log.warning(
                "The limit of open files leaves %s of %s connections (max_connections).",
                limit, settings.max_connections,
            )  # fmt: skip
        listening.listen(config.backlog)
        return Listener(listening, connect, self.server_state.connections, limit, config.ssl)

    def _start_shutdown(self) -> None:
        self._shutdown_task = asyncio.create_task(self._drain())

    async def _drain(self) -> None:
        loop, settings = asyncio.get_running_loop(), self.gateway.settings
        log.info("Shutting down: %s requests in flight.", self.gateway.lifecycle.active)
        end = loop.time() + settings.stop_timeout_s
        finished = await self.gateway.lifecycle.stop(settings.drain_s, settings.stop_timeout_s)
        if finished:
            self._close(min(FLUSH_S, max(0, end - loop.time())))
            return
        log.error("Stopped with %s requests unfinished.", self.gateway.lifecycle.active)
        self._cut_off()

    def _cut_off(self) -> None:
        """Close now; requests without an answer get a 503."""
        for connection in self._connections():
            connection.cut_off()
        self._close(0)

    def _close(self, wait_s: float) -> None:
        """Let uvicorn close; ASGI requests without an answer get a 503 soon after `wait_s`.

        Clients that do not read would keep their connections, and so the process, for ever.
        """
        cancel_s = wait_s + STEP_S
        self.config.timeout_graceful_shutdown = cancel_s  # type: ignore[assignment]  # any number
        self.should_exit = True
        loop = asyncio.get_running_loop()
        loop.call_later(wait_s + STEP_S / 2, self._abort, True)
        loop.call_later(cancel_s + STEP_S, self._abort, False)

    def _abort(self, idle: bool) -> None:
        """Abort all connections, or those that only wait for their client."""
        for connection in self._connections():
            if connection.is_idle or not idle:
                connection.transport.abort()

    def _connections(self) -> list[Protocol]:
        found = list(self.server_state.connections)
        return [connection for connection in found if isinstance(connection, Protocol)]

    def _reload(self) -> None:
        self._reloading = asyncio.create_task(self.gateway.reloader.try_reload())


def serve(settings: Settings, gateway: Gateway) -> None:
    """Serve until a signal ends the process.

    Raises:
        SettingError: the port is in use, the address is not of this machine, or the TLS files,
            gRPC or a camera cannot be used.
    """
    config = uvicorn.Config(
        Application(settings, gateway, open_cameras(gateway)),
        host=settings.host,
        port=settings.port,
        log_config=None,
        log_level="warning",
        access_log=False,
        server_header=False,
        date_header=False,
        proxy_headers=False,
        timeout_keep_alive=KEEP_ALIVE_S,
        ssl_certfile=settings.tls_cert,
        ssl_keyfile=settings.tls_key,
        http=Protocol,
        ws="none",
    )
    try:
        config.load()
    except OSError as error:  # ssl.SSLError is one
        raise tls_error(settings, error) from error
    listening = bind(config)
    check_grpc(settings)
    Server(config, gateway).run(sockets=[listening])


def tls_error(settings: Settings, error: OSError) -> SettingError:
    """What to say of a certificate and key that cannot be used."""
    reason = error.strerror or error
    hint = ""
    if isinstance(error, PermissionError):
        hint = f". User {os.getuid()}, as whom the service runs, must be able to read both files"
    return SettingError(
        f"Cannot use tls_cert {settings.tls_cert} and tls_key {settings.tls_key}: {reason}{hint}"
    )


def check_grpc(settings: Settings) -> None:
    """Check that gRPC can be served, if `grpc_port` is set.

    Raises:
        SettingError: grpcio is not installed, or the port is in use.
    """
    if settings.grpc_port is None:
        return
    try:
        import_module("app.oip.grpc_server")
    except ModuleNotFoundError as error:
        raise SettingError(
            f"grpc_port needs the module {error.name}, which is not installed. "
            "In a checkout, install it with `pip install '.[grpc]'`."
        ) from error
    _bind(settings.host, settings.grpc_port, "grpc_port", " for gRPC").close()


def bind(config: uvicorn.Config) -> socket.socket:
    """Open the listening socket.

    Raises:
        SettingError: the port is in use, or the address is not of this machine.
    """
    return _bind(config.host, config.port, "port")


def _bind(host: str, port: int, setting: str, purpose: str = "") -> socket.socket:
    listening = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((host, port))
    except OSError as error:
        listening.close()
        raise SettingError(
            f"Cannot listen{purpose} on {host} port {port}: {error.strerror or error}. "
            f"Choose another port with --{setting.replace('_', '-')} or {variable(setting)}."
        ) from error
    return listening


def warn_if_reachable(url: str) -> None:
    """Say in one line that anybody may use the service, if other machines can reach it."""
    host = url.partition("://")[2].lstrip("[")
    if not host.startswith(LOOPBACK):
        log.warning(
            "NO API KEY IS SET, and the service listens on %s: whoever can reach this machine can "
            "use it. Set %s=true, which creates a key, or %s, or listen on 127.0.0.1 only.",
            url, variable("generate_key"), variable("api_keys"),
        )  # fmt: skip


def address(config: uvicorn.Config, listening: socket.socket) -> str:
    """The URL of a listening socket."""
    host, port = listening.getsockname()[:2]
    scheme = "https" if config.is_ssl else "http"
    return f"{scheme}://{f'[{host}]' if ':' in host else host}:{port}"
