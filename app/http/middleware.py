"""What every ASGI request passes before and after its route: id, API key, log, metrics, traces.

One plain ASGI class in front of FastAPI instead of a chain of middlewares, which costs less.
"""

import asyncio
import logging

from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.errors import InternalError, RequestError
from app.paths import speaks_oip
from app.request.admitted import stopped
from app.request.problem_response import problem_response
from app.service.gateway import Gateway
from app.telemetry.record import ID_HEADER, TRACE_HEADER, UNMATCHED, Record, start_record

log = logging.getLogger(__name__)


def error_response(error: RequestError, path: str = "") -> Response:
    """The response to an error, in the form of the protocol that is spoken at the path."""
    if not speaks_oip(path):
        return problem_response(error)
    from app.oip.rest_codec import oip_error_response  # whoever does not speak it needs no schemas

    return oip_error_response(error)


class RequestMiddleware:
    """Starts the record of a request, checks its key, and turns errors into responses."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        gateway: Gateway = scope["state"]["gateway"]
        record = start_record(scope["method"], scope["path"], scope["headers"])
        if gateway.tracing:
            gateway.tracing.begin(record, scope["headers"])
        answered = False

        async def send_with_id(message: Message) -> None:
            nonlocal answered
            if message["type"] == "http.response.start":
                record.status = message["status"]
                message["headers"] = [*message["headers"], (ID_HEADER, record.id.encode())]
                if record.trace:
                    message["headers"].append((TRACE_HEADER, record.trace.response))
            await send(message)
            answered = message["type"] == "http.response.body" and not message.get("more_body")

        async def respond(error: RequestError) -> None:
            await error_response(error, record.path)(scope, receive, send_with_id)

        try:
            await self._route(gateway, record, scope, receive, send_with_id)
        except RequestError as error:
            await respond(error)
        except asyncio.CancelledError:  # the graceful shutdown timed out
            await respond(stopped())
        except Exception as error:
            if record.status and not answered:
                raise
            log.error("Unexpected error on %.200s", scope["path"], exc_info=error)
            if not answered:
                await respond(InternalError())
        finally:
            gateway.request_log.add(record)

    async def _route(
        self, gateway: Gateway, record: Record, scope: Scope, receive: Receive, send: Send
    ) -> None:
        gateway.keys.check(record.path, scope["headers"])
        scope["state"]["record"] = record
        # HEAD is GET without the body, which uvicorn leaves out (RFC 9110, section 9.3.2). FastAPI
        # adds it to no route, and load balancers probe with it.
        routed = {**scope, "method": "GET"} if record.method == "HEAD" else scope
        try:
            await self.app(routed, receive, send)
        finally:  # FastAPI has found the route by now
            if record.route == UNMATCHED:
                record.route = getattr(routed.get("route"), "path", UNMATCHED)
