"""What happens to every request before and after its route: id, key, admission, log, metrics.

Plain ASGI and not a chain of middlewares, because refusing has to be much cheaper than answering:
under a flood, what is spent on refusals is taken from the requests that were accepted.
"""

import asyncio
import logging
import time

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.errors import InternalError, RequestError, Stopping
from app.gateway import Gateway
from app.log import log_request
from app.problem import respond
from app.record import ID_HEADER, Record, start_record

log = logging.getLogger(__name__)
WORK = "/predict"  # counts against the queue, and is what a stop waits for
UNMATCHED = "none"


class FrontDoor:
    """Lets requests in, or turns them away with a problem."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        began = time.perf_counter()
        gateway: Gateway = scope["state"]["gateway"]
        record = start_record(scope)

        async def send_with_id(message: Message) -> None:
            if message["type"] == "http.response.start":
                record.status = message["status"]
                message["headers"] = [*message["headers"], (ID_HEADER, record.id.encode())]
            await send(message)

        is_work = scope["path"] == WORK
        try:
            _admit(gateway, scope, is_work)
        except RequestError as error:
            await respond(error)(scope, receive, send_with_id)
            _finish(gateway, scope, record, began)
            return
        if is_work:
            gateway.lifecycle.enter()
        try:
            await self.app(scope, receive, send_with_id)
        except asyncio.CancelledError:  # the time to stop is over
            await respond(Stopping("the service stopped before the answer was ready"))(
                scope, receive, send_with_id
            )
        except Exception as error:
            if record.status:
                raise
            log.error("unexpected error on %s", scope["path"], exc_info=error)
            unexpected = InternalError("the server made an error; its log says more")
            await respond(unexpected)(scope, receive, send_with_id)
        finally:
            if is_work:
                gateway.lifecycle.leave()
                if gateway.metrics.shared:  # another process may be the one that is scraped
                    gateway.observe_load()
            _finish(gateway, scope, record, began)


def _admit(gateway: Gateway, scope: Scope, is_work: bool) -> None:
    """Turn a request away before its body is read, if that is already certain."""
    gateway.keys.check(scope["path"], scope["headers"])
    if not is_work:
        return
    if gateway.lifecycle.stopping:
        raise Stopping("the service is being stopped; ask another one")
    if gateway.scheduler.full:
        raise gateway.scheduler.overloaded()


def _finish(gateway: Gateway, scope: Scope, record: Record, began: float) -> None:
    """Count and log the request by its route; unknown paths are one route, however many."""
    refused = WORK if scope["path"] == WORK else UNMATCHED  # before it was routed
    route = getattr(scope.get("route"), "path", refused)
    gateway.metrics.requests.labels(route, scope["method"], str(record.status)).inc()
    log_request(scope["method"], scope["path"], record, (time.perf_counter() - began) * 1000)
