"""The gRPC port. Imported only if `grpc_port` is set, because grpcio is an optional extra."""

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import grpc

from app.errors import SettingError
from app.oip.grpc_limits import STREAM_IDLE_S, GrpcLimits
from app.oip.grpc_service import InferenceService
from app.paths import OIP_SERVICE
from app.service.gateway import Gateway
from app.service.lifecycle import FLUSH_S
from app.settings import Settings

log = logging.getLogger(__name__)
MESSAGE_OVERHEAD_BYTES = 64 * 1024  # names, shapes and parameters around the images
# More calls than the queue has places, so that the scheduler rejects them with a Retry-After; at
# least as many as a client may assume before it knows the limit (RFC 9113, section 6.5.2).
CALLS_PER_PERMIT, MIN_CALLS = 2, 100
NO_LIMIT = 2**31 - 1
HANDSHAKE_S = 10.0  # for TLS and the first bytes of HTTP/2, as over HTTP


@asynccontextmanager
async def serving_grpc(settings: Settings, gateway: Gateway, port: int) -> AsyncIterator[None]:
    """Serve on `port` until the block ends; 0 is any free port.

    Raises:
        SettingError: the port is in use.
    """
    calls = max(MIN_CALLS, gateway.scheduler.permits * CALLS_PER_PERMIT)
    # The service limits calls, because the limit of grpc.aio would also reject probes.
    max_age_ms = int(settings.connection_max_age_s * 1000) or NO_LIMIT
    server = grpc.aio.server(
        options=[
            ("grpc.max_receive_message_length", settings.max_body_bytes + MESSAGE_OVERHEAD_BYTES),
            ("grpc.max_send_message_length", -1),  # no limit
            ("grpc.max_concurrent_streams", calls),
            ("grpc.max_allowed_incoming_connections", settings.max_connections),
            ("grpc.max_connection_idle_ms", int(STREAM_IDLE_S * 1000)),
            ("grpc.max_connection_age_ms", max_age_ms),  # gRPC adds a jitter of 10 %
            ("grpc.max_connection_age_grace_ms", int(settings.deadline_ms)),
            ("grpc.server_handshake_timeout_ms", int(HANDSHAKE_S * 1000)),
            # The probe widens windows until whole messages arrive before they are read.
            ("grpc.http2.bdp_probe", 0),
            ("grpc.so_reuseport", 0),  # so that a second service on the same port fails
        ],
    )
    limits = GrpcLimits(calls, settings.max_inflight_bytes, settings.max_body_bytes)
    handlers = InferenceService(gateway, limits).handlers()
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(OIP_SERVICE, handlers),))
    bound_port = _listen(server, settings, port)
    await server.start()
    log.info("gRPC on %s", _address(settings.host, bound_port))
    try:
        yield
    finally:
        await server.stop(FLUSH_S)


def _listen(server: grpc.aio.Server, settings: Settings, port: int) -> int:
    address = _address(settings.host, port)
    try:
        if settings.tls_cert is None or settings.tls_key is None:
            return server.add_insecure_port(address)
        key_and_certificate = (settings.tls_key.read_bytes(), settings.tls_cert.read_bytes())
        return server.add_secure_port(address, grpc.ssl_server_credentials([key_and_certificate]))
    except RuntimeError as error:
        raise SettingError(
            f"Cannot listen for gRPC on {settings.host} port {port}: the port is in use. "
            "Choose another port with --grpc-port or GATEWAY_GRPC_PORT."
        ) from error


def _address(host: str, port: int) -> str:
    return f"{f'[{host}]' if ':' in host else host}:{port}"
