"""Before and after every route: ids, and errors that nobody expected."""

import asyncio
from pathlib import Path

import httpx
import pytest
from starlette.types import Receive, Scope, Send

from app.errors import EmptyBody, InternalError, Stopping
from app.http.application import Application
from app.http.middleware import RequestMiddleware
from app.service.gateway import Gateway, open_gateway
from app.settings import Settings
from tests.app.problems import assert_problem
from tests.processes import metric_of


@pytest.fixture(scope="module")
def gateway(store: Path) -> Gateway:
    opened = open_gateway(Settings(store=store))
    opened.scheduler.close()
    return opened


def ask(
    gateway: Gateway, app: object, path: str = "/models", method: str = "POST"
) -> httpx.Response:
    """The answer of the middleware with this application behind it."""

    async def with_state(scope: Scope, receive: Receive, send: Send) -> None:
        scope["state"] = {"gateway": gateway}
        await RequestMiddleware(app)(scope, receive, send)  # type: ignore[arg-type]  # any callable

    async def run() -> httpx.Response:
        transport = httpx.ASGITransport(with_state)
        async with httpx.AsyncClient(transport=transport, base_url="http://gateway") as client:
            return await client.request(method, path, headers={"X-Request-ID": "id-1"})

    return asyncio.run(run())


def test_an_unexpected_error_is_a_problem_with_an_id_and_a_traceback_in_the_log(
    gateway: Gateway, caplog: pytest.LogCaptureFixture
) -> None:
    async def fails(*_: object) -> None:
        raise ZeroDivisionError("secret")

    response = ask(gateway, fails)
    detail = assert_problem(response, InternalError)
    assert "secret" not in detail
    assert response.headers["x-request-id"] == "id-1"
    assert "ZeroDivisionError: secret" in caplog.text
    gateway.request_log.write()
    text = gateway.metrics.render().decode()
    assert metric_of(text, "gateway_requests_total", route="none", status="500") == 1
    assert gateway.lifecycle.active == 0


def test_what_is_cut_off_by_the_end_gets_a_503(gateway: Gateway) -> None:
    async def never(*_: object) -> None:
        raise asyncio.CancelledError

    response = ask(gateway, never)
    assert_problem(response, Stopping)
    assert response.headers["connection"] == "close"
    assert gateway.lifecycle.active == 0


def test_while_stopping_only_work_is_refused(gateway: Gateway) -> None:
    app = Application(gateway.settings, gateway)
    gateway.lifecycle.stopping = True
    try:
        assert_problem(ask(gateway, app, "/predict"), Stopping)
        assert ask(gateway, app, method="GET").status_code == 200
    finally:
        gateway.lifecycle.stopping = False
    assert_problem(ask(gateway, app, "/predict"), EmptyBody)
