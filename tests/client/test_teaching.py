"""Teaching heads with both clients, against the real service and scripted answers."""

import asyncio
import io
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np
import pytest
from mobilenet_gateway_client import (
    AsyncClient,
    Client,
    ClientError,
    Example,
    ImageProblem,
    Problem,
    Retry,
    Unauthorized,
    UnreadableImage,
)
from PIL import Image

from app.training import examples
from tests.app.training.colours import KEY, photo, settings
from tests.client.scripted import INFO, OVERLOADED, Reply, scripted
from tests.conftest import SMALL_V1, SMALL_V2
from tests.processes import LIVELINESS_S
from tests.serving import served

Do = Callable[..., Any]
NEVER = Retry(patience_s=0)
BUSY = {"type": "urn:mobilenet-gateway:training", "title": "Busy", "status": 409, "detail": "busy"}
LATE = {
    "type": "urn:mobilenet-gateway:deadline-exceeded",
    "title": "Deadline exceeded",
    "status": 504,
    "detail": "late",
}
FULL = {"type": "urn:mobilenet-gateway:storage-full", "title": "Full", "status": 507, "detail": "0"}


def do_sync(
    url: str | list[str], method: str, *arguments: Any, key: str | None = KEY, **options: Any
) -> Any:
    with Client(url, api_key=key, retry=NEVER, timeout_s=LIVELINESS_S) as client:
        return getattr(client, method)(*arguments, **options)


def do_async(
    url: str | list[str], method: str, *arguments: Any, key: str | None = KEY, **options: Any
) -> Any:
    async def run() -> Any:
        async with AsyncClient(url, api_key=key, retry=NEVER, timeout_s=LIVELINESS_S) as client:
            return await getattr(client, method)(*arguments, **options)

    return asyncio.run(run())


both = pytest.mark.parametrize("do", [do_sync, do_async], ids=["sync", "async"])


@pytest.fixture(scope="module")
def url(store: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with served(settings(store, tmp_path_factory.mktemp("taught") / "heads")) as client:
        yield str(client.base_url).rstrip("/")


@pytest.fixture
def head(url: str) -> Iterator[str]:
    """The name of a head that is gone after the test."""
    name = f"gate-{uuid4().hex}"
    yield name
    with suppress(Problem):  # it is gone already
        do_sync(url, "delete_head", name)


@both
def test_from_photos_to_a_head_and_back(do: Do, url: str, head: str, tmp_path: Path) -> None:
    (tmp_path / "open.jpg").write_bytes(photo("open", 0))
    pixels = np.asarray(Image.open(io.BytesIO(photo("open", 1))))
    sources = [tmp_path / "open.jpg", pixels, b"no image", tmp_path / "gone.jpg", photo("open", 2)]
    added = do(url, "add_examples", head, "open", sources)
    assert [one.label for one in added] == ["open"] * 5
    assert [type(one.error) for one in added] == [
        type(None), type(None), ImageProblem, UnreadableImage, type(None)
    ]  # fmt: skip
    assert not any(one.duplicate for one in added)
    again = do(url, "add_examples", head, "open", str(tmp_path / "open.jpg"))
    assert (again.id, again.duplicate) == (added[0].id, True)
    assert do(url, "example_image", head, added[0].id) == photo("open", 0)
    assert do(url, "add_examples", head, "closed", []) == []
    with pytest.raises(Problem, match="The number of labels with examples is 1") as problem:
        do(url, "train", head)
    assert (problem.value.type, problem.value.status) == ("cannot-train", 422)

    do(url, "add_examples", head, "closed", [photo("closed", seed) for seed in range(9)])
    waited: list[float] = []
    report = do(url, "train", head, on_wait=waited.append)
    assert report.labels == ("closed", "open")
    assert (report.base, report.photos) == (SMALL_V2, 12)
    assert report.accuracy == report.details["accuracy"]
    assert report.false_alarm == report.details["false_alarm"]
    assert waited == sorted(waited)
    state = do(url, "head", head)
    assert state.labels == {"closed": 9, "open": 3}
    assert (state.taught, state.outdated, state.training) == (True, False, False)
    assert state.report == report
    assert len(state.examples) == 12
    assert head in [one.name for one in do(url, "heads")]
    file = do(url, "download_head", head)
    assert np.load(io.BytesIO(file))["weights"].shape == (2, 1280)
    answer = do(url, "classify", photo("closed", 20), model=head, top_k=3)
    assert {one.label for one in answer.predictions} - {"unknown"} == {"closed", "open"}

    moved = do(url, "relabel_example", head, state.examples[0].id, "closed")
    assert moved == Example("closed", state.examples[0].id, state.examples[0].created)
    assert do(url, "head", head).outdated
    do(url, "delete_example", head, moved.id)
    do(url, "delete_label", head, "open")
    assert do(url, "head", head).labels == {"closed": 9}
    with pytest.raises(Problem) as problem:
        do(url, "undo_training", head)
    assert problem.value.type == "nothing-to-undo"
    do(url, "delete_head", head)
    assert head not in [one.name for one in do(url, "heads")]


def test_the_head_before_the_last_training_serves_again(url: str, head: str) -> None:
    for label in ("open", "closed"):
        do_sync(url, "add_examples", head, label, [photo(label, seed) for seed in (0, 1)])
    first = do_sync(url, "train", head)
    do_sync(url, "add_examples", head, "open", photo("open", 2))
    assert do_sync(url, "train", head).photos == 5
    assert do_sync(url, "undo_training", head) == first


@both
def test_what_the_gateway_rejects_is_raised(do: Do, url: str, tmp_path: Path) -> None:
    rejected: list[tuple[type[ClientError], str, tuple[Any, ...]]] = [
        (Problem, "not-found", ("head", "porch")),
        (Problem, "not-found", ("download_head", "porch")),
        (Problem, "not-found", ("delete_label", "porch", "../open")),
        (Problem, "bad-name", ("add_examples", "porch", "unknown", photo("open", 0))),
        (Problem, "bad-name", ("add_examples", "porch", "unknown", [photo("open", 0)])),
        (Problem, "name-taken", ("add_examples", SMALL_V1, "open", [photo("open", 0)] * 2)),
        (ImageProblem, "not-an-image", ("add_examples", "porch", "open", b"text")),
        (UnreadableImage, "unreadable-image", ("add_examples", "porch", "open", tmp_path / "x")),
    ]
    for kind, type_, call in rejected:
        with pytest.raises(kind) as error:
            do(url, *call)
        assert error.value.type == type_
    with pytest.raises(Unauthorized):
        do(url, "heads", key="guessed")


@both
def test_another_training_is_waited_for(do: Do) -> None:
    with scripted([Reply(409, BUSY), Reply(200, examples.REPORT)]) as script:
        report = do(script.url, "train", "a/b")
    assert script.paths == ["/heads/a%2Fb/train"] * 2
    assert report.interval == (0.7976, 0.9926)
    with (
        scripted([Reply(409, BUSY)]) as script,
        pytest.raises(Problem, match="busy"),
    ):
        do(script.url, "train", "gate", wait_s=0)
    assert len(script.seen) == 1


@both
def test_images_that_did_not_work_together_are_added_one_by_one(do: Do) -> None:
    first = {"id": "1", "label": "open", "created": "now", "duplicate": False}
    one = Reply(201, {"examples": [first]})
    several = Reply(200, {**INFO.body, "settings": {"max_images": 8}})
    overfull = Reply(201, {"examples": [first, {"error": OVERLOADED}]})
    full = Reply(201, {"examples": [first, {"error": FULL}]})
    for replies, requests in (([Reply(504, LATE), one], 4), ([overfull, one], 3)):
        with scripted([several, *replies]) as script:
            added = do(script.url, "add_examples", "gate", "open", [b"1", b"2"], base="m")
        assert [found.id for found in added] == ["1", "1"]
        assert script.paths == ["/info"] + ["/heads/gate/examples/open?base=m"] * (requests - 1)
    with scripted([several, full]) as script, pytest.raises(Problem) as problem:
        do(script.url, "add_examples", "gate", "open", [b"1", b"2"])
    assert problem.value.type == "storage-full"
    assert len(script.seen) == 2


@both
def test_a_head_is_taught_at_the_first_of_several_gateways(do: Do) -> None:
    several = Reply(200, {**INFO.body, "settings": {"max_images": 1}})
    kept = {"id": "1", "label": "open", "created": "now", "duplicate": False}
    one = Reply(201, {"examples": [kept]})
    with scripted([several, one]) as script, scripted([several, one]) as other:
        added = do([script.url, other.url], "add_examples", "gate", "open", [b"1"] * 5)
    assert len(added) == 5
    assert (len(script.seen), len(other.seen)) == (6, 0)


def test_both_clients_have_the_same_methods() -> None:
    for name in ("add_examples", "train", "relabel_example", "download_head", "delete_head"):
        described = getattr(AsyncClient, name).__annotations__
        assert described == getattr(Client, name).__annotations__
