"""The start of a service: what it loads before its first answer, and which options it reads."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from app.commands.serve import plain_options
from app.settings import Settings
from tests.app.sample_images import encode, noise
from tests.conftest import ROOT, SMALL_V1
from tests.processes import running, until
from tests.serving import served

IMPORTED = re.compile(r"^import time: .*\| +([\w.]+)$", re.MULTILINE)
NOT_FOR_PREDICTIONS = {"fastapi", "rich", "tomllib", "typer"}


def test_nothing_is_loaded_that_predictions_do_not_need(
    store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in os.environ if name.startswith("COVERAGE")]:
        monkeypatch.delenv(name)  # it reads TOML
    logging_imports = running(store, models=SMALL_V1, PYTHONPROFILEIMPORTTIME=1)
    with logging_imports as service, service.client() as client:

        def loaded() -> set[str]:
            return {name.partition(".")[0] for name in IMPORTED.findall(service.log)}

        assert client.get("/readyz").status_code == 200
        assert client.post("/predict", content=encode(noise())).status_code == 200
        assert {"onnxruntime", "uvicorn"} <= loaded()
        assert not NOT_FOR_PREDICTIONS & loaded()
        until(lambda: "fastapi" in loaded(), "the idle service loads its routes")
        assert client.get("/models").status_code == 200


COUNT_VALIDATORS = """
import gc, sys
from pathlib import Path
from pydantic import TypeAdapter
from app.http.application import Application
from app.http.protocol import Protocol
from app.settings import Settings
from tests.serving import serving

def validators():
    return sum(type(one) is TypeAdapter for one in gc.get_objects())

app = Application(Settings(store=Path(sys.argv[1]), measure_s=0))
print(type(app.api).__name__, validators())
with serving(app, Protocol) as client:
    for path in ("/info", "/models", "/v2/health/live", "/metrics"):
        assert client.get(path).status_code == 200
print(type(app.api).__name__, validators())
"""


def test_the_first_request_of_a_route_finds_it_made(store: Path) -> None:
    """Making them takes a tenth of a second, which a thread can spend and the event loop not."""
    command = [sys.executable, "-c", COUNT_VALIDATORS, str(store)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT)
    before, after = done.stdout.splitlines()
    assert before == after
    assert int(after.split()[1]) > 20


@pytest.fixture
def client(store: Path) -> Iterator[httpx.Client]:
    with served(Settings(store=store)) as client:
        yield client


def test_probes_are_answered_alike_before_the_routes_are_loaded_and_after(
    client: httpx.Client,
) -> None:
    def answers() -> list[tuple[int, bytes, set[str]]]:
        return [
            (answer.status_code, answer.content, set(answer.headers))
            for method, path in (("GET", "/healthz"), ("GET", "/readyz"), ("HEAD", "/readyz"))
            for answer in [client.request(method, path)]
        ]

    before = answers()
    assert [content for _, content, _ in before] == [b'{"status":"ok"}', b'{"status":"ready"}', b""]
    assert client.get("/info").status_code == 200
    assert answers() == before


def test_a_probe_with_a_parameter_is_an_error_from_the_beginning(client: httpx.Client) -> None:
    assert client.get("/readyz?x=1").status_code == 422


@pytest.mark.parametrize(
    ("arguments", "options"),
    [
        ([], {}),
        (["--port", "0", "--log-level=debug"], {"port": "0", "log_level": "debug"}),
        (["--no-page", "--brownout"], {"page": False, "brownout": True}),
        (["--config", "a.toml", "--port", "1", "--port", "2"], {"config": "a.toml", "port": "2"}),
        (["--api-keys=a=b"], {"api_keys": "a=b"}),
    ],
)
def test_plain_options_are_read(arguments: list[str], options: dict[str, object]) -> None:
    assert plain_options(arguments) == options


@pytest.mark.parametrize(
    "arguments",
    [
        ["--help"], ["-h"], ["--nope", "1"], ["--port"], ["--port", "--page"], ["--port="],
        ["photo.jpg"], ["--page=yes"], ["--log_level", "info"], ["--no-port", "1"], ["--"],
    ],
)  # fmt: skip
def test_typer_reads_the_others(arguments: list[str]) -> None:
    assert plain_options(arguments) is None
