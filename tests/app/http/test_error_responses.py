"""The responses to errors, whatever goes wrong."""

import asyncio
import logging
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI, HTTPException

from app.errors import (
    BadQuery,
    BadRequest,
    InternalError,
    MethodNotAllowed,
    NotFound,
    Overloaded,
)
from app.http.application import Application
from app.http.error_responses import documented, install
from app.http.middleware import error_response
from app.settings import Settings
from tests.app.problems import assert_problem
from tests.serving import serving

SECRET = "the password is hunter2"  # noqa: S105  # of nobody


def small_app() -> FastAPI:
    app = FastAPI()
    install(app)

    @app.get("/teapot")
    async def teapot() -> None:
        raise HTTPException(418, "short and stout")

    @app.get("/busy")
    async def busy() -> None:
        raise Overloaded("64 images wait", retry_after_s=2.2)

    @app.delete("/busy")
    async def free() -> None: ...

    @app.get("/numbers/{number}")
    async def numbers(number: int) -> int:
        return number

    return app


def get(path: str, method: str = "GET") -> httpx.Response:
    async def ask() -> httpx.Response:
        transport = httpx.ASGITransport(small_app())
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            return await client.request(method, path)

    return asyncio.run(ask())


def test_a_bug_is_told_to_the_log_and_not_to_the_client(
    store: Path, caplog: pytest.LogCaptureFixture
) -> None:
    app = Application(Settings(store=store))

    @app.api.get("/bug")
    async def bug() -> None:
        raise RuntimeError(SECRET)

    with caplog.at_level(logging.ERROR), serving(app) as client:
        detail = assert_problem(client.get("/bug"), InternalError)
        assert client.get("/healthz").status_code == 200
    assert SECRET not in detail
    assert SECRET in caplog.text


def test_an_error_brings_its_headers() -> None:
    response = get("/busy")
    assert assert_problem(response, Overloaded) == "64 images wait"
    assert response.headers["retry-after"] == "3"


def test_an_unknown_path_and_a_wrong_method_are_problems() -> None:
    assert "/nope" in assert_problem(get("/nope"), NotFound)
    response = get("/teapot", "DELETE")
    detail = assert_problem(response, MethodNotAllowed)
    assert detail == "/teapot does not support DELETE. Use GET."
    assert response.headers["allow"] == "GET, HEAD"


def test_every_method_of_a_path_is_named_whichever_route_has_it() -> None:
    response = get("/busy", "PUT")
    detail = assert_problem(response, MethodNotAllowed)
    assert detail == "/busy does not support PUT. Use GET or DELETE."
    assert response.headers["allow"] == "GET, HEAD, DELETE"


def test_a_bad_path_parameter_is_named() -> None:
    assert assert_problem(get("/numbers/x"), BadQuery).startswith("number: input should be")


def test_an_error_of_the_framework_is_a_problem_too() -> None:
    response = get("/teapot")
    assert response.status_code == response.json()["status"] == 418
    assert response.json()["detail"] == "short and stout"
    assert response.headers["content-type"] == "application/problem+json"


def test_a_response_has_the_status_of_its_error() -> None:
    assert error_response(BadQuery("broken")).status_code == 422


def test_errors_are_described_by_their_status() -> None:
    entries = documented(BadRequest, BadQuery)
    assert list(entries) == [400, 422]
    assert entries[400]["description"] == "Bad request"
