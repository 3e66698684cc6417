"""The gRPC port. Nothing imports this while `grpc_port` is not set: grpcio is an optional extra."""

import logging
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import grpc

from app.errors import SettingError
from app.oip.grpc_limits import GrpcLimits
from app.oip.grpc_service import InferenceService
from app.paths import OIP_SERVICE
from app.service.gateway import Gateway
from app.settings import Settings

log = logging.getLogger(__name__)
FAREWELL_S = 1.0  # for answers that are on their way out when all work is done
MESSAGE_OVERHEAD_BYTES = 64 * 1024  # names, shapes and parameters around the images
# More than are admitted, so that it is the scheduler that refuses, with the time to come back; and
# what a client may count on before it knows the limit (RFC 9113, 6.5.2).
CALLS_PER_PERMIT, LEAST_CALLS = 2, 100


@asynccontextmanager
async def serving_grpc(settings: Settings, gateway: Gateway, port: int) -> AsyncIterator[int]:
    """Answer on `port`, 0 for a free one, until the block ends; gives the port.

    Raises:
        SettingError: the port is taken.
    """
    calls = max(LEAST_CALLS, gateway.scheduler.permits * CALLS_PER_PERMIT)
    # It is the service that limits calls: grpc.aio's own limit would refuse probes like all else.
    server = grpc.aio.server(
        options=[
            ("grpc.max_receive_message_length", settings.max_body_bytes + MESSAGE_OVERHEAD_BYTES),
            ("grpc.max_send_message_length", -1),  # as long as the answer is
            ("grpc.max_concurrent_streams", calls),
            # Or it widens windows until messages arrive whole that nobody reads.
            ("grpc.http2.bdp_probe", 0),
            ("grpc.so_reuseport", 0),  # a second service on the same port is a mistake
        ],
    )
    intake = GrpcLimits(calls, settings.max_inflight_bytes, settings.max_body_bytes)
    handlers = InferenceService(gateway, intake).handlers()
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(OIP_SERVICE, handlers),))
    bound = _listen(server, settings, port)
    await server.start()
    log.info("gRPC on %s", _address(settings.host, bound))
    try:
        yield bound
    finally:
        await server.stop(FAREWELL_S)


def check_port(settings: Settings, port: int) -> None:
    """Find out before anything is loaded whether the port can be had.

    Raises:
        SettingError: it cannot.
    """
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((settings.host, port))
        except OSError as error:
            raise _taken(settings, port, error.strerror or str(error)) from error


def _listen(server: grpc.aio.Server, settings: Settings, port: int) -> int:
    address = _address(settings.host, port)
    try:
        if settings.tls_cert is None or settings.tls_key is None:
            return server.add_insecure_port(address)
        pair = (settings.tls_key.read_bytes(), settings.tls_cert.read_bytes())
        return server.add_secure_port(address, grpc.ssl_server_credentials([pair]))
    except RuntimeError as error:
        raise _taken(settings, port, "the port is taken") from error


def _address(host: str, port: int) -> str:
    return f"{f'[{host}]' if ':' in host else host}:{port}"


def _taken(settings: Settings, port: int, why: str) -> SettingError:
    return SettingError(
        f"Cannot listen for gRPC on {settings.host} port {port}: {why}. "
        "Choose another port with --grpc-port or GATEWAY_GRPC_PORT."
    )
