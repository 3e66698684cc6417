"""GET /, /docs and the files that they are made of."""

from importlib.util import find_spec
from pathlib import Path

import httpx
import pytest
from pydantic import SecretStr

from app.errors import BadQuery, MethodNotAllowed, NotFound, Unauthorized
from app.http import assets
from app.settings import Settings
from tests.app.problems import assert_problem
from tests.serving import served

HEIC = b"image/heic,image/heif,"


@pytest.mark.parametrize("path", sorted(assets.paths()))
def test_every_file_is_served_as_it_is(client: httpx.Client, path: str) -> None:
    response = client.get(path)
    name = assets.DOCUMENTS.get(path, path.removeprefix(assets.PREFIX))
    assert response.status_code == 200
    content = response.content.replace(HEIC, b"")  # where it can be decoded
    assert content == (assets.FOLDER / name).read_bytes()
    assert response.headers["content-type"] == assets.MEDIA_TYPES[Path(name).suffix]
    assert response.headers["x-content-type-options"] == "nosniff"


def test_heic_is_offered_where_it_can_be_decoded(client: httpx.Client) -> None:
    assert (HEIC in client.get("/").content) == (find_spec("pi_heif") is not None)


@pytest.mark.parametrize("path", ["/", "/teach", "/watch", "/docs"])
def test_a_page_may_run_and_reach_nothing_but_this_service(client: httpx.Client, path: str) -> None:
    headers = client.get(path).headers
    policy = dict(
        part.strip().split(" ", 1) for part in headers["content-security-policy"].split(";")
    )
    assert policy["default-src"] == "'none'"
    assert policy["script-src"] == policy["style-src"] == policy["connect-src"] == "'self'"
    assert policy["frame-ancestors"] == policy["form-action"] == policy["base-uri"] == "'none'"
    assert "unsafe" not in headers["content-security-policy"]
    assert headers["referrer-policy"] == "no-referrer"


def test_a_file_is_compressed_for_those_who_take_it(client: httpx.Client) -> None:
    path = "/static/page.css"
    small = client.get(path, headers={"Accept-Encoding": "gzip"})
    whole = client.get(path, headers={"Accept-Encoding": "identity"})
    assert small.headers["content-encoding"] == "gzip"
    assert "content-encoding" not in whole.headers
    assert small.content == whole.content
    assert int(small.headers["content-length"]) < int(whole.headers["content-length"]) / 2
    assert small.headers["vary"] == whole.headers["vary"] == "Accept-Encoding"


@pytest.mark.parametrize("sent", ["{etag}", 'W/"other", {etag}'])
def test_a_file_that_the_browser_has_is_not_sent_again(client: httpx.Client, sent: str) -> None:
    first = client.get("/static/main.js")
    assert first.headers["cache-control"] == "no-cache"
    headers = {"If-None-Match": sent.format(etag=first.headers["etag"])}
    again = client.get("/static/main.js", headers=headers)
    assert (again.status_code, again.content) == (304, b"")
    assert again.headers["etag"] == first.headers["etag"]


def test_a_file_that_the_browser_has_from_another_version_is_sent(client: httpx.Client) -> None:
    response = client.get("/", headers={"If-None-Match": 'W/"of-yesterday"'})
    assert response.status_code == 200


def test_a_head_request_gets_the_headers_alone(client: httpx.Client) -> None:
    response = client.head("/")
    assert (response.status_code, response.content) == (200, b"")
    assert int(response.headers["content-length"]) > 0


@pytest.mark.parametrize(
    "path",
    [
        "/static/",
        "/static/none.js",
        "/static/%2e%2e/%2e%2e/etc/passwd",
        "/static/vendor/uPlot.LICENSE",
    ],
)
def test_there_are_no_other_files(client: httpx.Client, path: str) -> None:
    assert_problem(client.get(path), NotFound)


@pytest.mark.parametrize("path", ["/", "/teach", "/watch", "/docs", "/static/main.js"])
def test_a_query_parameter_is_refused_by_its_name(client: httpx.Client, path: str) -> None:
    detail = assert_problem(client.get(path, params={"key": "secret"}), BadQuery)
    assert detail == "key: unknown parameter"


def test_a_page_cannot_be_posted(client: httpx.Client) -> None:
    assert_problem(client.post("/"), MethodNotAllowed)


def test_the_page_is_no_part_of_the_described_api(client: httpx.Client) -> None:
    described = client.get("/openapi.json").json()["paths"].keys()
    assert not described & {"/", "/teach", "/watch", "/docs"}
    assert not [path for path in described if path.startswith("/static")]


def test_the_page_can_be_switched_off(store: Path) -> None:
    with served(Settings(store=store, page=False)) as client:
        for path in ("/", "/teach", "/watch", "/docs", "/static/main.js"):
            assert "/openapi.json" in assert_problem(client.get(path), NotFound)
        assert client.get("/openapi.json").status_code == 200


def test_the_page_opens_without_the_key_that_all_else_needs(store: Path) -> None:
    with served(Settings(store=store, api_keys=(SecretStr("key"),))) as client:
        for path in assets.paths():
            assert client.get(path).status_code == 200
        assert_problem(client.get("/models"), Unauthorized)
        assert_problem(client.get("/static/none.js"), Unauthorized)


def test_a_page_that_is_switched_off_opens_no_door(store: Path) -> None:
    settings = Settings(store=store, page=False, api_keys=(SecretStr("key"),))
    with served(settings) as client:
        for path in ("/", "/teach", "/watch", "/docs", "/static/main.js"):
            assert_problem(client.get(path), Unauthorized)
