"""Caddy in front of the service, with the Caddyfile of the compose profile `tls`."""

import os
import re
import shutil
import socket
import ssl
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from app.http.server import KEEP_ALIVE_S
from app.settings import Settings
from tests.app.sample_images import encode, noise
from tests.conftest import ROOT
from tests.deploy import compose_file
from tests.processes import LIVELINESS_S, until
from tests.serving import served

CADDYFILE = ROOT / "deploy" / "Caddyfile"
SITE = "localhost"  # a name that Caddy issues a certificate of its own for
KEY = "secret-of-a-camera"


@dataclass(frozen=True, slots=True)
class Proxy:
    """A running Caddy."""

    client: httpx.Client
    plain_url: str
    log_file: Path

    @property
    def log(self) -> str:
        return self.log_file.read_text("utf-8")


@pytest.fixture(scope="module")
def proxy(store: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    program = shutil.which("caddy")
    if not program:
        pytest.skip("needs Caddy: `apt-get install caddy`")
    folder = tmp_path_factory.mktemp("caddy")
    plain, encrypted = free_ports(2)
    with served(Settings(store=store, api_keys=KEY)) as direct:
        given = {
            "SITE": SITE,
            "UPSTREAM": f"127.0.0.1:{direct.base_url.port}",
            "CADDY_HTTP_PORT": str(plain),
            "CADDY_HTTPS_PORT": str(encrypted),
            "HOME": str(folder),
            "XDG_DATA_HOME": str(folder),
            "XDG_CONFIG_HOME": str(folder),
        }
        log_file, root = folder / "log.txt", folder / "caddy/pki/authorities/local/root.crt"
        with log_file.open("wb") as log:
            process = subprocess.Popen(
                [program, "run", "--config", str(CADDYFILE), "--adapter", "caddyfile"],
                env={**os.environ, **given}, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            )  # fmt: skip
        try:
            until(lambda: ended(process, log_file) or root.is_file(), "Caddy has a certificate")
            with httpx.Client(
                base_url=f"https://{SITE}:{encrypted}",
                verify=ssl.create_default_context(cafile=str(root)),
                trust_env=False, timeout=LIVELINESS_S,
            ) as client:  # fmt: skip
                until(lambda: ended(process, log_file) or is_ready(client), "Caddy answers")
                yield Proxy(client, f"http://{SITE}:{plain}", log_file)
        finally:
            process.kill()
            process.wait(LIVELINESS_S)


def free_ports(count: int) -> list[int]:
    """Ports that were free a moment ago; Caddy cannot be asked for any free one."""
    with_ports = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [listening.getsockname()[1] for listening in with_ports]
    for listening in with_ports:
        listening.close()
    return ports


def ended(process: subprocess.Popen[bytes], log_file: Path) -> bool:
    assert process.poll() is None, log_file.read_text("utf-8")
    return False


def is_ready(client: httpx.Client) -> bool:
    try:
        return client.get("/readyz").status_code == 200
    except httpx.TransportError:  # its certificate is still being made
        return False


def test_an_image_is_classified_over_a_verified_connection(proxy: Proxy) -> None:
    answer = proxy.client.post(
        "/predict", content=encode(noise(640, 480)), headers={"X-API-Key": KEY}
    )
    assert answer.status_code == 200, answer.text
    assert len(answer.json()["results"]) == 1
    assert proxy.client.post("/predict", content=b"x").status_code == 401


@pytest.mark.parametrize(
    "path",
    ["/metrics", "/metrics/", "/metrics/x", "/metrics?x=1", "/%6detrics", "//metrics", "/METRICS"],
)
def test_metrics_are_not_exposed(proxy: Proxy, path: str) -> None:
    url = f"{str(proxy.client.base_url).rstrip('/')}{path}"  # a client's own URL would lose a slash
    answer = proxy.client.get(url, headers={"X-API-Key": KEY})
    assert answer.status_code == 404
    assert answer.content == b""


def test_a_plain_request_is_sent_to_https(proxy: Proxy) -> None:
    answer = httpx.get(f"{proxy.plain_url}/info?x=1", trust_env=False, timeout=LIVELINESS_S)
    assert answer.status_code == 308
    assert answer.headers["location"] == f"https://{SITE}/info?x=1"


def test_another_name_is_told_so(proxy: Proxy) -> None:
    answer = proxy.client.get("/info", headers={"Host": "other.example", "X-API-Key": KEY})
    assert answer.status_code == 421
    assert "SITE" in answer.text


def test_the_log_has_the_address_of_the_client_and_no_key(proxy: Proxy) -> None:
    path = "/models/that-is-asked-for"
    assert proxy.client.get(path, headers={"X-API-Key": KEY}).status_code == 404
    until(lambda: path in proxy.log, "the request is logged")
    [line] = [line for line in proxy.log.splitlines() if path in line]
    assert re.search(r'"remote_ip":"(127\.0\.0\.1|::1)"', line)
    for headers in ({"Host": "other.example"}, {"Host": SITE}):
        secret = {"X-API-Key": KEY, "Authorization": f"Bearer {KEY}"}
        proxy.client.get("/models/again", headers=headers | secret)
    until(lambda: proxy.log.count("/models/again") == 2, "both requests are logged")
    assert KEY not in proxy.log


def test_its_limits_fit_those_of_the_service() -> None:
    text = CADDYFILE.read_text("utf-8")

    def number(pattern: str) -> float:
        [found] = re.findall(pattern, text)
        return float(found)

    largest = max(
        float(compose_file.environment(service).get("GATEWAY_MAX_BODY_BYTES", 0)) or
        Settings.model_fields["max_body_bytes"].default
        for _, service in compose_file.gateways()
    )  # fmt: skip
    assert number(r"max_size (\d+)MiB") * 2**20 > largest
    assert number(r"\tkeepalive (\d+)s") < KEEP_ALIVE_S
    deadline_s = Settings.model_fields["deadline_ms"].default / 1000
    assert number(r"response_header_timeout (\d+)s") > deadline_s
    assert number(r"read_body (\d+)s") > deadline_s
    assert number(r"read_header (\d+)s") >= deadline_s


def test_the_compose_file_gives_caddy_what_it_needs_and_no_more() -> None:
    caddy = compose_file.services({})["caddy"]
    assert caddy["profiles"] == ["tls"]
    assert caddy["environment"] == {"SITE": "localhost"}
    assert "./deploy/Caddyfile:/etc/caddy/Caddyfile:ro" in caddy["volumes"]
    assert caddy["read_only"]
    assert (caddy["cap_drop"], caddy["cap_add"]) == (["ALL"], ["NET_BIND_SERVICE"])
    text = CADDYFILE.read_text("utf-8")
    assert "{$UPSTREAM:gateway:8000}" in text  # the alias that every service of the file has
    for _, service in compose_file.gateways():
        assert service["networks"]["default"]["aliases"] == ["gateway"]
