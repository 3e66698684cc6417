"""What happens to every request before and after its route: id, key, log, metrics.

Plain ASGI and not a chain of middlewares, and in front of FastAPI: what is asked for all day does
not pass through what it does not need.
"""

import asyncio
import logging

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.errors import MISTAKE, InternalError, RequestError, Stopping
from app.http.error_responses import respond
from app.http.routes import inference_protocol, predict
from app.http.routes.inference_protocol import INFER, INFER_ROUTE
from app.request.prediction import PATH
from app.service.gateway import Gateway
from app.telemetry.record import ID_HEADER, TRACE_HEADER, Record, start_record

log = logging.getLogger(__name__)


class FrontDoor:
    """Lets requests in, or turns them away with a problem."""

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

        try:
            await self._answer(gateway, record, scope, receive, send_with_id)
        except RequestError as error:
            await respond(error, record.path)(scope, receive, send_with_id)
        except asyncio.CancelledError:  # the time to stop is over
            stopped = Stopping("the service stopped before the answer was ready")
            await respond(stopped, record.path)(scope, receive, send_with_id)
        except Exception as error:
            if record.status and not answered:
                raise
            log.error("unexpected error on %s", scope["path"], exc_info=error)
            if not answered:
                mistake = respond(InternalError(MISTAKE), record.path)
                await mistake(scope, receive, send_with_id)
        finally:
            gateway.ledger.enter(record)

    async def _answer(
        self, gateway: Gateway, record: Record, scope: Scope, receive: Receive, send: Send
    ) -> None:
        if record.path == PATH and record.method == "POST":
            record.route = PATH
            response = await predict.answer(gateway, record, scope, receive)
            await response(scope, receive, send)
            return
        if record.method == "POST" and (asked := INFER.fullmatch(record.path)):
            record.route = INFER_ROUTE
            response = await inference_protocol.answer(gateway, record, asked, scope, receive)
            await response(scope, receive, send)
            return
        gateway.keys.check(record.path, scope["headers"])
        # HEAD is GET without the body, which uvicorn leaves out (RFC 9110, 9.3.2). FastAPI knows
        # it for no route, and load balancers ask with it.
        routed = {**scope, "method": "GET"} if record.method == "HEAD" else scope
        try:
            await self.app(routed, receive, send)
        finally:  # FastAPI has found it meanwhile
            record.route = getattr(routed.get("route"), "path", record.route)
