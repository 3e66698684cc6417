"""/heads: examples, training and what is served of it, over real HTTP."""

import io
import os
import signal
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx
import numpy as np
import pytest

from app.errors import (
    BadName,
    BadQuery,
    BadRequest,
    CannotTrain,
    DamagedImage,
    NameTaken,
    NotAnImage,
    NotFound,
    NothingToUndo,
    RequestError,
    StorageFull,
    TrainingRuns,
    UnknownModel,
)
from app.heads.head_file import read_head
from tests.app.problems import assert_problem
from tests.app.training.colours import KEY, add, admin, at_work, photo, settings, train
from tests.conftest import SMALL_V1, SMALL_V2
from tests.full_disk import full_disk
from tests.processes import until
from tests.serving import served

LABEL = "Tür ../auf/100 %"  # no part of a path


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("taught") / "heads"


@pytest.fixture(scope="module")
def client(store: Path, folder: Path) -> Iterator[httpx.Client]:
    with served(settings(store, folder)) as opened:
        yield admin(opened)


@pytest.fixture
def gate(client: httpx.Client) -> Iterator[httpx.Client]:
    """The client, with a head `gate` that was trained on two labels."""
    for label in ("open", "closed"):
        add(client, label, *range(4))
    train(client)
    yield client
    assert client.delete("/heads/gate").status_code == 204


@contextmanager
def stopped_child(client: httpx.Client) -> Iterator[tuple[int, "Future[httpx.Response]"]]:
    """A training whose process is stopped once it has begun, and goes on after this."""
    with ThreadPoolExecutor(1) as pool:
        training = pool.submit(client.post, "/heads/gate/train")
        until(lambda: children("app.training.child"), "the child process runs")
        [pid] = children("app.training.child")
        until(lambda: at_work(pid), "it is at work")
        os.kill(pid, signal.SIGSTOP)
        try:
            yield pid, training
        finally:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)


def labels(client: httpx.Client) -> dict[str, int]:
    found: dict[str, int] = client.get("/heads/gate").json()["labels"]
    return found


def top(client: httpx.Client, image: bytes) -> str:
    answer = client.post("/predict?model=gate", content=image)
    assert answer.status_code == 200, answer.text
    return str(answer.json()["results"][0]["predictions"][0]["label"])


def test_from_photos_to_labels(client: httpx.Client, folder: Path) -> None:
    add(client, "open", *range(4))
    head = client.get("/heads/gate").json()
    assert (head["taught"], head["outdated"], head["report"]) == (False, False, None)
    add(client, "closed", *range(4))
    report = train(client)
    assert (report["photos"], report["labels"]) == (8, ["closed", "open"])
    head = client.get("/heads/gate").json()
    assert head["labels"] == {"closed": 4, "open": 4}
    assert head["base"] == SMALL_V2
    assert (head["taught"], head["outdated"], head["training"]) == (True, False, False)
    assert head["report"] == report
    assert [one["label"] for one in head["examples"]] == ["open"] * 4 + ["closed"] * 4
    assert head["bytes"] == sum(
        path.stat().st_size for path in folder.rglob("*.*") if path.name[0] == "1"
    )
    assert top(client, photo("open", 20)) == "open"
    assert top(client, photo("closed", 20)) == "closed"
    summary = {name: head[name] for name in head if name not in ("examples", "report")}
    assert client.get("/heads").json() == {"heads": [summary]}
    assert client.delete("/heads/gate").status_code == 204
    assert client.get("/heads").json() == {"heads": []}
    assert_problem(client.post("/predict?model=gate", content=photo("open", 0)), UnknownModel)
    assert not list(folder.rglob("*.*"))


def test_an_example_is_given_back_as_it_was_sent(client: httpx.Client) -> None:
    image = photo("none", 3, "PNG")
    sent = client.post("/heads/gate/examples/none", content=image)
    [example] = sent.json()["examples"]
    answer = client.get(f"/heads/gate/examples/{example['id']}")
    assert answer.content == image
    assert answer.headers["content-type"] == "image/png"
    again = client.post("/heads/gate/examples/none", files={"image": image})
    assert again.status_code == 201
    assert again.json()["examples"] == [example | {"duplicate": True}]
    assert labels(client) == {"none": 1}
    client.delete("/heads/gate")


def test_relabelled_and_deleted_examples_are_so_after_a_restart(
    store: Path, tmp_path: Path
) -> None:
    with served(settings(store, tmp_path)) as client:
        first, second = add(admin(client), "open", 0, 1)
        path = f"/heads/gate/examples/{first}"
        answer = client.patch(path, json={"label": LABEL})
        assert answer.json()["label"] == LABEL
        assert client.delete(f"/heads/gate/examples/{second}").status_code == 204
        assert_problem(client.delete(f"/heads/gate/examples/{second}"), NotFound)
        kept = client.get("/heads/gate").json()
        assert kept["labels"] == {LABEL: 1}
    with served(settings(store, tmp_path)) as client:
        assert admin(client).get("/heads/gate").json() == kept
        assert client.get(path).content == photo("open", 0)
        quoted = "T%C3%BCr%20..%2Fauf%2F100%20%25"
        assert client.delete(f"/heads/gate/labels/{quoted}").status_code == 204
        assert_problem(client.delete(f"/heads/gate/labels/{quoted}"), NotFound)
        assert client.get("/heads/gate").json()["labels"] == {}


def test_undo_serves_the_head_before_once(gate: httpx.Client, tmp_path: Path) -> None:
    before = gate.get("/heads/gate").json()
    answer = gate.get("/heads/gate/head.npz")
    assert answer.headers["content-disposition"] == 'attachment; filename="gate.head.npz"'
    file = answer.content
    (tmp_path / "gate.head.npz").write_bytes(file)
    head, _ = read_head(tmp_path / "gate.head.npz")
    assert (head.card.labels[:2], head.base_name) == (("closed", "open"), SMALL_V2)
    assert_problem(gate.post("/heads/gate/undo"), NothingToUndo)
    ids = add(gate, "none", *range(4))
    assert gate.get("/heads/gate").json()["outdated"]
    assert "none" in train(gate)["labels"]
    assert not gate.get("/heads/gate").json()["outdated"]
    assert top(gate, photo("none", 20)) == "none"
    assert gate.post("/heads/gate/undo").json() == before["report"]
    assert gate.get("/heads/gate/head.npz").content == file
    after = gate.get("/heads/gate").json()
    assert (after["taught_at"], after["outdated"]) == (before["taught_at"], True)
    assert top(gate, photo("open", 20)) == "open"
    assert_problem(gate.post("/heads/gate/undo"), NothingToUndo)
    for added in ids:
        gate.delete(f"/heads/gate/examples/{added}")
    assert not gate.get("/heads/gate").json()["outdated"]
    path = f"/heads/gate/examples/{before['examples'][0]['id']}"
    gate.patch(path, json={"label": "closed"})
    assert gate.get("/heads/gate").json()["outdated"]


def test_a_broken_photo_has_its_error_in_its_place(client: httpx.Client) -> None:
    broken = photo("open", 0)[:400]
    assert_problem(client.post("/heads/shed/examples/open", content=broken), DamagedImage)
    assert_problem(client.post("/heads/shed/examples/open", content=b"text"), NotAnImage)
    assert client.get("/heads").json() == {"heads": []}
    files = [("image", ("a", photo("open", 0))), ("image", ("b", broken))]
    answer = client.post("/heads/shed/examples/open", files=files)
    good, bad = answer.json()["examples"]
    assert good["label"] == "open"
    assert bad["error"]["type"].endswith("damaged-image")
    assert client.get("/heads/shed").json()["labels"] == {"open": 1}
    assert_problem(client.post("/heads/shed/train"), CannotTrain)
    assert client.delete("/heads/shed").status_code == 204


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        pytest.param("gate/examples/" + "a" * 300, BadName, id="300 letters"),
        pytest.param("gate/examples/%0A", BadName, id="a line break"),
        pytest.param("gate/examples/unknown", BadName, id="unknown"),
        pytest.param("Gate/examples/open", BadName, id="capitals"),
        pytest.param("%2E%2E/examples/open", BadName, id="the folder above"),
        pytest.param("auto/examples/open", BadName, id="auto"),
        pytest.param(f"{SMALL_V1}/examples/open", NameTaken, id="another model"),
        pytest.param("gate/examples/open?base=none", UnknownModel, id="unknown base"),
        pytest.param("gate/examples/open?bas=x", BadQuery, id="unknown parameter"),
    ],
)
def test_what_cannot_be_kept_is_rejected(
    client: httpx.Client, path: str, kind: type[RequestError]
) -> None:
    assert_problem(client.post(f"/heads/{path}", content=photo("open", 0)), kind)
    assert client.get("/heads").json() == {"heads": []}


def test_a_label_may_look_like_a_path(client: httpx.Client, folder: Path) -> None:
    answer = client.post("/heads/gate/examples/%2E%2E%2F", content=photo("open", 0))
    assert answer.json()["examples"][0]["label"] == "../"
    assert {path.parent.parent for path in folder.rglob("*.image")} == {folder / "examples"}
    assert client.delete("/heads/gate").status_code == 204


def test_a_relabelling_says_what_is_wrong(client: httpx.Client) -> None:
    [added] = add(client, "open", 0)
    path = f"/heads/gate/examples/{added}"
    assert_problem(client.patch(path, json={"label": "unknown"}), BadName)
    assert_problem(client.patch(path, json={"name": "x"}), BadRequest)
    assert_problem(client.patch(path, content=b"{"), BadRequest)
    assert_problem(client.patch("/heads/gate/examples/none", json={"label": "x"}), NotFound)
    assert labels(client) == {"open": 1}
    client.delete("/heads/gate")


def children(name: str) -> list[int]:
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if f"{name}\0{os.getpid()}".encode() in path.read_bytes():
                found.append(int(path.parent.name))
        except OSError:  # it has just ended
            continue
    return found


def test_one_training_at_a_time_and_a_killed_one_changes_nothing(gate: httpx.Client) -> None:
    before = gate.get("/heads/gate/head.npz").content
    add(gate, "none", *range(4))
    with stopped_child(gate) as (pid, training):
        assert gate.get("/heads/gate").json()["training"]
        assert_problem(gate.post("/heads/gate/train"), TrainingRuns)
        assert_problem(gate.post("/heads/gate/undo"), TrainingRuns)
        assert_problem(gate.delete("/heads/gate"), TrainingRuns)
        assert top(gate, photo("open", 20)) == "open"
        maps, environment = (
            Path(f"/proc/{pid}/{name}").read_bytes() for name in ("maps", "environ")
        )
        assert KEY.encode() not in environment
        assert not any(name in maps for name in (b"onnxruntime", b"PIL", b"uvloop", b"httptools"))
        os.kill(pid, signal.SIGKILL)
        assert "killed or failed" in assert_problem(training.result(), CannotTrain)
    head = gate.get("/heads/gate").json()
    assert (head["training"], head["outdated"], head["labels"]["none"]) == (False, True, 4)
    assert gate.get("/heads/gate/head.npz").content == before
    assert gate.delete("/heads/gate/labels/closed").status_code == 204
    assert gate.delete("/heads/gate/labels/none").status_code == 204
    detail = assert_problem(gate.post("/heads/gate/train"), CannotTrain)
    assert detail.startswith("The number of labels with examples is 1; at least 2 are needed.")
    assert top(gate, photo("closed", 20)) == "closed"


def test_a_full_disk_keeps_nothing_and_says_so(gate: httpx.Client) -> None:
    before = gate.get("/heads/gate").json()
    with full_disk(1500):
        rejected = gate.post("/heads/gate/examples/open", content=photo("open", 40))
        assert_problem(rejected, StorageFull)
        assert_problem(gate.post("/heads/gate/train"), StorageFull)
    assert gate.get("/heads/gate").json() == before
    assert top(gate, photo("open", 20)) == "open"
    add(gate, "open", 40)
    assert gate.post("/v2/repository/models/gate/unload").status_code == 200
    train(gate)
    assert top(gate, photo("open", 20)) == "open"  # a training serves what a client had unloaded


def test_a_photo_of_the_helper_process_is_embedded(client: httpx.Client) -> None:
    answer = client.post("/heads/gate/examples/open", content=photo("open", 0, "TIFF"))
    assert answer.status_code == 201, answer.text
    assert client.delete("/heads/gate").status_code == 204


def test_embeddings_are_what_the_model_answers(client: httpx.Client, folder: Path) -> None:
    """The first view of an example is what the model itself sees."""
    image = photo("open", 0)
    add(client, "open", 0)
    [path] = folder.rglob("*.npy")
    views = np.load(io.BytesIO(path.read_bytes()))
    inputs = {"Inference-Header-Content-Length": "0"}
    answer = client.post(f"/v2/models/{SMALL_V2}/infer", content=image, headers=inputs).json()
    [embedding] = [one["data"] for one in answer["outputs"] if one["name"] == "embedding"]
    assert views.shape == (4, len(embedding))
    assert views[0] == pytest.approx(np.array(embedding) / np.linalg.norm(embedding), abs=1e-5)
    assert client.delete("/heads/gate").status_code == 204
