"""What the connection (`app.http.protocol`) uses of uvicorn beyond its documented interface.

pyproject.toml bounds uvicorn's version for it, and tests/app/http/test_protocol.py holds the list
against both sides.
"""

import asyncio
from collections.abc import Callable

ATTRIBUTES = (
    "connections", "cycle", "expect_100_continue", "flow", "headers", "loop", "parser",
    "pipeline", "scope", "server_state", "timeout_keep_alive", "transport", "url",
)  # fmt: skip
METHODS = (
    "_unset_keepalive_if_required", "connection_lost", "connection_made", "data_received",
    "eof_received", "on_body", "on_headers_complete", "on_message_begin", "on_message_complete",
    "on_response_complete", "pause_writing", "resume_writing", "shutdown",
    "timeout_keep_alive_handler",
)  # fmt: skip
CYCLE_ATTRIBUTES = (
    "disconnected", "keep_alive", "message_event", "response_complete", "response_started",
    "transport",
)  # fmt: skip


class CycleTransport:
    """What uvicorn's cycle uses of a transport; the connection decides how to close."""

    def __init__(self, transport: asyncio.Transport, close: Callable[[], None]) -> None:
        self.write = transport.write
        self.is_closing = transport.is_closing
        self.close = close
