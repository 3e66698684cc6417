"""Connections of both clients: addresses, keys, TLS and services that are no gateway."""

import socket
from pathlib import Path
from typing import Any

import pytest
from mobilenet_gateway_client import (
    AsyncClient,
    Client,
    ClientError,
    NotAGateway,
    Retry,
    Unauthorized,
    Unreachable,
)

from app.settings import Settings
from tests.client.clients import Do, both
from tests.client.scripted import GOOD, Reply, scripted
from tests.conftest import SMALL_V1
from tests.processes import running
from tests.serving import served


@both
def test_a_key_opens_what_needs_one(do: Do, store: Path) -> None:
    settings = Settings(store=store, models=(SMALL_V1,), api_keys=("secret",))
    with served(settings) as opened:
        url = str(opened.base_url)
        with pytest.raises(Unauthorized):
            do(url, "models")
        with Client(url, api_key="secret") as client:
            assert client.models()[0].name == SMALL_V1


@both
@pytest.mark.parametrize("body", [[], {}, {"results": 1}, "text"], ids=str)
def test_another_service_is_recognized(do: Do, body: Any) -> None:
    with scripted([Reply(200, body)]) as script:
        for method, argument in [("classify", (b"x",)), ("models", ()), ("layers", ("m",))]:
            with pytest.raises(NotAGateway, match="like mobilenet-gateway"):
                do(script.url, method, *argument)


@both
def test_a_password_in_the_address_is_in_no_message_and_no_log(
    do: Do, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    caplog.set_level("DEBUG", "httpx")  # which a service in this process makes quieter
    for reply in (Reply(200, []), Reply(502, "text"), Reply(0)):
        with scripted([reply]) as script, pytest.raises(ClientError) as failure:
            do(script.url.replace("://", "://me:secret@"), "info")
        assert "secret" not in str(failure.value)
    assert "/info" in caplog.text
    assert "secret" not in caplog.text
    for address in ("http://me:secret@gateway:port", "me:secret@gateway", "http://me:se/cret@x"):
        with pytest.raises(ValueError, match="Invalid address") as rejection:
            do(address, "info")
        assert "cret" not in str(rejection.value)


@both
def test_an_unreachable_gateway_is_reported_with_its_address(do: Do) -> None:
    with socket.socket() as taken:  # bound and not listening
        taken.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(Unreachable, match=address):
            do(address, "models")


class NoRetry(Retry):
    """Fails the test if the client considers a retry, which `NEVER` would hide."""

    def wait_s(self, failures: int, retry_after_s: float, spent_s: float) -> float | None:
        raise AssertionError("asked again")


@both
def test_an_invalid_certificate_is_not_retried_and_reported_with_the_way_out(
    do: Do, store: Path, certificate: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    cert, key = certificate
    settings = {"models": SMALL_V1, "measure_s": 0}
    with running(store, **settings, tls_cert=cert, tls_key=key) as service:
        with pytest.raises(Unreachable, match=r"self-signed certificate\. Set SSL_CERT_FILE"):
            do(service.base_url, "info", retry=NoRetry())
        monkeypatch.setenv("SSL_CERT_FILE", str(cert))  # as the message says
        assert do(service.base_url, "info").default_model == SMALL_V1
        elsewhere = service.base_url.replace("127.0.0.1", "localhost")
        with pytest.raises(Unreachable, match="not valid for 'localhost'"):
            do(elsewhere, "info", retry=NoRetry())


@both
def test_https_to_a_service_without_tls_is_not_retried(do: Do, url: str) -> None:
    with pytest.raises(Unreachable, match=r"does not speak TLS\. Try an address with http://"):
        do(url.replace("http:", "https:"), "info", retry=NoRetry())


@pytest.mark.parametrize("kind", [Client, AsyncClient])
@pytest.mark.parametrize(
    "address",
    ["", "gateway:8000", "ftp://gateway", "http://", "http://[::1", "http://gateway:port"],
)
def test_a_malformed_address_is_rejected(kind: type, address: str) -> None:
    with pytest.raises(ValueError, match=r"^Invalid address .* Use one such as http"):
        kind(address)


@pytest.mark.parametrize("kind", [Client, AsyncClient])
@pytest.mark.parametrize("requests", [0, -1])
def test_less_than_one_request_at_once_is_rejected(kind: type, requests: int) -> None:
    with pytest.raises(ValueError, match=f"concurrency is {requests}. It must be at least 1."):
        kind("http://gateway", concurrency=requests)


@pytest.mark.parametrize("kind", [Client, AsyncClient])
def test_a_key_or_a_proxy_that_cannot_be_used_is_rejected(
    kind: type, monkeypatch: pytest.MonkeyPatch
) -> None:
    for key in ("schlüssel", "two\nlines"):
        with pytest.raises(ValueError, match="The API key may contain"):
            kind("http://gateway", api_key=key)
    monkeypatch.setenv("ALL_PROXY", "pigeon://gateway")
    with pytest.raises(ValueError, match="Cannot use the proxy or certificates"):
        kind("http://gateway")


def test_connections_are_kept() -> None:
    with scripted([GOOD]) as script, Client(script.url) as ours:
        for _ in range(3):
            ours.classify(b"x")
        pool = ours._servers.all[0].http._transport._pool  # type: ignore[attr-defined]  # httpx shows no pool
        assert len(pool.connections) == 1
