"""kill -9 while images arrive, while a head is trained, and a start after it."""

import os
import signal
import threading
from contextlib import suppress
from pathlib import Path

import httpx
import pytest

from tests.app.training.colours import KEY, at_work, photo
from tests.conftest import SMALL_V2
from tests.processes import Service, running, until
from tests.robustness.test_helper import ended, helpers

HEADERS = {"X-API-Key": KEY}


def options(heads: Path) -> dict[str, object]:
    return {
        "heads": heads, "admin_key": KEY, "measure_s": 0, "default_model": SMALL_V2, "workers": 1
    }  # fmt: skip


def upload(client: httpx.Client, label: str, number: int) -> str:
    answer = client.post(f"/heads/gate/examples/{label}", content=photo(label, number))
    assert answer.status_code == 201, answer.text
    return str(answer.json()["examples"][0]["id"])


def check(client: httpx.Client, acknowledged: dict[str, bytes]) -> None:
    """Check that all that was acknowledged is there, and that nothing else but a last image is."""
    examples = {one["id"] for one in client.get("/heads/gate").json()["examples"]}
    assert acknowledged.keys() <= examples
    assert len(examples) <= len(acknowledged) + 1
    for one, image in acknowledged.items():
        assert client.get(f"/heads/gate/examples/{one}").content == image


def kill(service: Service) -> None:
    service.signal(signal.SIGKILL)
    service.wait()


def stopped_child(service: Service) -> int:
    """The process that trains, stopped at work, so that it does not end before the service."""
    until(lambda: helpers(service), "the child process runs")
    [pid] = helpers(service)
    until(lambda: at_work(pid), "it is at work")
    os.kill(pid, signal.SIGSTOP)
    return pid


def test_nothing_acknowledged_is_lost_to_a_kill(store: Path, tmp_path: Path) -> None:
    heads = tmp_path / "heads"
    acknowledged: dict[str, bytes] = {}
    with running(store, **options(heads)) as service, service.client(HEADERS) as client:
        for label in ("open", "closed"):
            for number in range(3):
                acknowledged[upload(client, label, number)] = photo(label, number)
        assert client.post("/heads/gate/train").status_code == 200

        def send() -> None:
            for number in range(100, 10_000):
                try:
                    acknowledged[upload(client, "none", number)] = photo("none", number)
                except httpx.TransportError:
                    break

        sender = threading.Thread(target=send)
        sender.start()
        until(lambda: len(acknowledged) > 8, "images arrive")
        until(lambda: unfinished(heads), "one is being written")
        kill(service)
        sender.join()
    with running(store, **options(heads)) as service, service.client(HEADERS) as client:
        check(client, acknowledged)
        assert not unfinished(heads)
        before = client.get("/heads/gate/head.npz").content
        trainer = threading.Thread(target=train_until_killed, args=(client,))
        trainer.start()
        pid = stopped_child(service)
        kill(service)
        until(lambda: ended(pid), "it has died with the service")
        trainer.join()
    with running(store, **options(heads)) as service, service.client(HEADERS) as client:
        check(client, acknowledged)
        assert client.get("/heads/gate/head.npz").content == before
        head = client.get("/heads/gate").json()
        assert (head["taught"], head["outdated"], head["training"]) == (True, True, False)
        answer = client.post("/predict?model=gate", content=photo("open", 0))
        assert answer.json()["model"] == "gate"
        trainer = threading.Thread(target=stopping, args=(client,))
        trainer.start()
        pid = stopped_child(service)
        service.signal(signal.SIGTERM)
        assert service.wait() == 0
        until(lambda: ended(pid), "it has ended with the service")
        trainer.join()


def unfinished(heads: Path) -> bool:
    """Whether a file has a temporary name, or an image no record yet."""
    files = {path.name for path in heads.rglob("*") if path.is_file()}
    return any(
        name.startswith(".") or (name.endswith(".image") and f"{name[:16]}.json" not in files)
        for name in files
    )


def train_until_killed(client: httpx.Client) -> None:
    with pytest.raises(httpx.TransportError):
        client.post("/heads/gate/train")


def stopping(client: httpx.Client) -> None:
    """Train until the service stops; it answers 503, or closes the connection."""
    with suppress(httpx.TransportError):
        assert client.post("/heads/gate/train").status_code == 503
