"""Errors on the wire, whatever goes wrong."""

import asyncio
import logging
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI, HTTPException
from hypothesis import given, settings
from hypothesis import strategies as st

from app.errors import (
    BadQuery,
    BadRequest,
    InternalError,
    MethodNotAllowed,
    NotFound,
    Overloaded,
)
from app.main import create_app
from app.problem import documented, install, parse_query, respond, to_problem
from app.schemas import NoQuery, PredictQuery
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
    app = create_app(Settings(store=store))

    @app.get("/bug")
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
    response = get("/busy", "DELETE")
    assert "DELETE" in assert_problem(response, MethodNotAllowed)
    assert response.headers["allow"] == "GET, HEAD"


def test_a_bad_path_parameter_is_named() -> None:
    assert assert_problem(get("/numbers/x"), BadQuery).startswith("number: input should be")


def test_an_error_of_the_framework_is_a_problem_too() -> None:
    response = get("/teapot")
    assert response.status_code == response.json()["status"] == 418
    assert response.json()["detail"] == "short and stout"
    assert response.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize(
    ("text", "model", "top_k", "resolution"),
    [
        ("", None, 5, None),
        ("model=a&top_k=7&resolution=160", "a", 7, 160),
        ("top_k=100", None, 100, None),
        ("model=%C3%A9%20b", "é b", 5, None),
    ],
)
def test_a_query_is_read(text: str, model: str | None, top_k: int, resolution: int | None) -> None:
    found = parse_query(PredictQuery, text.encode())
    assert (found.model, found.top_k, found.resolution) == (model, top_k, resolution)


@settings(deadline=None)
@given(st.text(max_size=60))
def test_no_query_brings_an_error_that_is_not_the_requests(text: str) -> None:
    for model in (PredictQuery, NoQuery):
        try:
            parse_query(model, text.encode())
        except BadQuery as error:
            assert error.detail  # noqa: PT017  # most inputs raise nothing


@settings(deadline=None)
@given(st.integers())
def test_top_k_is_taken_exactly_from_1_to_100(top_k: int) -> None:
    if 1 <= top_k <= 100:
        assert parse_query(PredictQuery, b"top_k=%d" % top_k).top_k == top_k
        return
    with pytest.raises(BadQuery, match=r"^top_k: input should be"):
        parse_query(PredictQuery, b"top_k=%d" % top_k)


def test_a_problem_says_what_its_error_is() -> None:
    problem = to_problem(BadRequest("broken"))
    assert problem.model_dump() == {
        "type": "urn:mobilenet-gateway:bad-request",
        "title": "Bad request",
        "status": 400,
        "detail": "broken",
    }
    assert respond(BadRequest("broken")).status_code == 400


def test_errors_are_described_by_their_status() -> None:
    entries = documented(BadRequest, BadQuery)
    assert list(entries) == [400, 422]
    assert entries[400]["description"] == "Bad request"
