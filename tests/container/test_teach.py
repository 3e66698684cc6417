"""Teaching in the container: read-only root, no rights, one volume, and a kill in between."""

import os
from collections.abc import Callable, Iterator

import httpx
import pytest

from container.docker import docker
from tests.app.training.colours import KEY, add, photo, train
from tests.container.engine import Container, running
from tests.container.test_run import HARDENED
from tests.processes import until

PHOTOS = 12  # of each label


@pytest.fixture
def options() -> Iterator[tuple[str, ...]]:
    """A hardened container with a volume that outlives it."""
    volume = f"gateway-test-{os.getpid()}-{os.urandom(4).hex()}"
    yield (
        *HARDENED, "--volume", f"{volume}:/models", "--memory", "384m",
        "--env", "GATEWAY_HEADS=/models/heads", "--env", f"GATEWAY_ADMIN_KEY={KEY}",
        "--env", "GATEWAY_MEASURE_S=0",
    )  # fmt: skip
    docker("volume", "rm", "--force", volume)


def client(container: Container) -> httpx.Client:
    opened = container.client()
    opened.headers["X-API-Key"] = KEY
    return opened


def test_what_is_taught_in_a_container_serves_in_the_next_one(
    image: str, options: tuple[str, ...], figure: Callable[[str], None]
) -> None:
    with running(image, *options) as container, client(container) as gateway:
        before = container.memory
        for label in ("open", "closed"):
            add(gateway, label, *range(PHOTOS))
        report = train(gateway)
        assert report["photos"] == 2 * PHOTOS
        assert report["accuracy"] == 1
        until(lambda: gateway.get("/readyz").status_code == 200, "it goes on")
        figure(f"own memory + libraries: {before} at first, {container.memory} once it taught")
        docker("kill", container.id)
    with running(image, *options) as container, client(container) as gateway:
        head = gateway.get("/heads/gate").json()
        assert head["report"] == report
        assert head["labels"] == {"closed": PHOTOS, "open": PHOTOS}
        for label in ("open", "closed"):
            answer = gateway.post("/predict?model=gate", content=photo(label, 50)).json()
            assert answer["results"][0]["predictions"][0]["label"] == label
        train(gateway)
        assert gateway.post("/heads/gate/undo").json() == report
        assert gateway.delete("/heads/gate").status_code == 204
        assert gateway.get("/heads").json() == {"heads": []}
