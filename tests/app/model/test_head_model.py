"""Heads in the store: found, served on their base's session, and reloaded with it."""

import hashlib
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnxruntime
import pytest

from app.errors import ModelFileError, ModelInUse
from app.heads.head import Head
from app.heads.head_file import pack_head
from app.inference.head_group import group_of
from app.model.head_model import HeadModel
from app.model.model import Model, load_model
from app.model.reloadable_store import ReloadableStore
from app.model.store_folder import Selection
from models.export.export import export, untrained
from tests.app.heads.made import write_head
from tests.conftest import SMALL_V1, SMALL_V2
from tests.exports import export_random, random_recipe


@pytest.fixture
def folder(store: Path, tmp_path: Path) -> Path:
    return shutil.copytree(store, tmp_path / "store", ignore=shutil.ignore_patterns(".cache"))


@pytest.fixture
def head(folder: Path) -> Head:
    return write_head(folder / f"{SMALL_V2}.onnx")


def opened(folder: Path, names: tuple[str, ...] = ()) -> ReloadableStore:
    return ReloadableStore(Selection(folder, names), load_model)


@pytest.mark.usefixtures("head")
def test_a_head_is_a_model_on_the_session_of_its_base(folder: Path) -> None:
    store = opened(folder)
    assert [model.name for model in store] == [SMALL_V1, SMALL_V2, "gate"]
    gate = store.get("gate")
    assert isinstance(gate, HeadModel)
    assert gate.base is store.get(SMALL_V2)
    assert gate.card.labels == ("closed", "open", "unknown")
    assert gate.outputs == {"probabilities": 3, "embedding": 1280}


def test_it_answers_with_its_own_classes(folder: Path, head: Head) -> None:
    """The embedding comes from onnxruntime on the base's file, the rest is worked out here."""
    images = np.random.default_rng(0).integers(0, 256, (4, 96, 96, 3), dtype=np.uint8)
    session = onnxruntime.InferenceSession(folder / f"{SMALL_V2}.onnx")
    [embeddings] = session.run(["embedding"], {"image": images})
    units = embeddings / np.linalg.norm(embeddings, axis=1, keepdims=True)
    odds = np.exp(units @ head.weights.T + head.bias)
    nearest = (units @ head.references.T).max(axis=1)
    unknown = 1 / (1 + np.exp((nearest - 0.7) / 0.01))
    expected = odds / odds.sum(axis=1, keepdims=True) * (1 - unknown)[:, np.newaxis]

    row = opened(folder).get("gate").run(("probabilities", "embedding"), images)

    assert row[:, :2] == pytest.approx(expected, abs=2e-2)  # references are stored as int8
    assert row[:, 2] == pytest.approx(unknown, abs=2e-2)
    assert row[:, 3:] == pytest.approx(embeddings, abs=1e-4)


@pytest.mark.usefixtures("head")
def test_a_head_needs_its_base(folder: Path) -> None:
    with pytest.raises(ModelFileError, match=f"its base {SMALL_V2} is not loaded"):
        opened(folder, (SMALL_V1, "gate"))
    assert [model.name for model in opened(folder, ("gate", SMALL_V2))] == [SMALL_V2, "gate"]


@pytest.mark.usefixtures("head")
def test_heads_alone_are_no_store(folder: Path) -> None:
    for path in folder.glob("*.onnx"):
        path.unlink()
    with pytest.raises(ModelFileError, match=r"has no \.onnx file"):
        opened(folder)


@pytest.mark.usefixtures("head")
def test_another_file_under_the_base_s_name_is_rejected(folder: Path) -> None:
    (folder / f"{SMALL_V2}.onnx").unlink()
    renamed = export_random(folder, "mobilenet_v2", 0.5, 96)
    renamed.rename(folder / f"{SMALL_V2}.onnx")
    store = opened(folder)
    assert [model.name for model in store] == [SMALL_V1, "mobilenet_v2_0.5_96"]
    assert f"its base {SMALL_V2} is not loaded" in store.broken["gate.head.npz"]


@pytest.mark.parametrize("content", [b"", b"no archive", "of another base"])
def test_a_broken_head_does_not_stop_the_start(
    folder: Path, head: Head, content: bytes | str, caplog: pytest.LogCaptureFixture
) -> None:
    """One line of the log says why; a file that replaces it is loaded by the next reload."""
    good = (folder / "gate.head.npz").read_bytes()
    if isinstance(content, str):
        card = head.card.model_copy(update={"base_sha256": "0" * 64})
        content = pack_head(replace(head, card=card), "{}")
    (folder / "gate.head.npz").write_bytes(content)
    store = opened(folder)
    assert [model.name for model in store] == [SMALL_V1, SMALL_V2]
    [reason] = store.broken.values()
    assert str(folder) not in reason
    [line] = [message for message in caplog.messages if "gate.head.npz" in message]
    assert line.startswith(f"Not loaded: {folder / 'gate.head.npz'}: ")
    (folder / "gate.head.npz").write_bytes(good)
    changes = store.reload()
    assert (changes.loaded, changes.broken) == (["gate"], {})


@pytest.mark.usefixtures("head")
def test_a_broken_head_that_the_settings_name_stops_the_start(folder: Path) -> None:
    (folder / "gate.head.npz").write_bytes(b"")
    with pytest.raises(ModelFileError, match=r"gate\.head\.npz: not a head"):
        opened(folder, (SMALL_V2, "gate"))


@pytest.mark.usefixtures("head")
def test_a_broken_network_still_stops_the_start(folder: Path) -> None:
    (folder / f"{SMALL_V1}.onnx").write_bytes(b"")
    with pytest.raises(ModelFileError, match=SMALL_V1):
        opened(folder)


@pytest.mark.usefixtures("head")
def test_a_broken_head_is_named(folder: Path) -> None:
    store = opened(folder)
    path = folder / "gate.head.npz"
    path.write_bytes(path.read_bytes()[:1000])
    changes = store.reload()
    assert list(changes.broken) == ["gate.head.npz"]
    assert "not a head" in changes.broken["gate.head.npz"]
    assert isinstance(store.get("gate"), HeadModel)  # the one from before


@pytest.mark.usefixtures("head")
def test_a_head_follows_its_base_through_a_reload(folder: Path) -> None:
    store = opened(folder)
    file = folder / f"{SMALL_V2}.onnx"
    shutil.copy2(file, folder / "copy")
    (folder / "copy").replace(file)  # the same content in another file
    assert store.reload().loaded == ["gate", SMALL_V2]
    gate = store.get("gate")
    assert isinstance(gate, HeadModel)
    assert gate.base is store.get(SMALL_V2)
    store.load(SMALL_V2)
    gate = store.get("gate")
    assert isinstance(gate, HeadModel)
    assert gate.base is store.get(SMALL_V2)


@pytest.mark.usefixtures("head")
def test_heads_can_be_named_together_while_a_reload_moves_them(folder: Path) -> None:
    """Both bases are of the same file, so it does not matter which of them runs."""
    write_head(folder / f"{SMALL_V2}.onnx", "porch", seed=1)
    store = opened(folder)
    (folder / "copy").write_bytes((folder / f"{SMALL_V2}.onnx").read_bytes())
    (folder / "copy").replace(folder / f"{SMALL_V2}.onnx")
    bases = []

    def on_loaded(_: Model) -> None:
        together = group_of(store, "gate,porch")
        bases.append(len({id(head.base) for head in together.heads}))

    store.reload(on_loaded)
    assert bases == [1, 2, 1]  # when the base is loaded, when the first head is, and at the end


def test_a_head_is_not_put_on_an_older_version_of_its_base(folder: Path) -> None:
    """The embeddings of the version in memory are not those that the head was taught on."""
    store = opened(folder)
    recipe = random_recipe("mobilenet_v2", 0.35, 96)
    export(recipe, untrained(recipe.network(), seed=1), "fp32", folder)
    write_head(folder / f"{SMALL_V2}.onnx")
    with pytest.raises(ModelFileError, match=f"{SMALL_V2} has changed. Reload the store"):
        store.load("gate")
    assert store.reload().loaded == ["gate", SMALL_V2]


@pytest.mark.usefixtures("head")
def test_a_head_stays_on_its_base_when_another_one_is_loaded(folder: Path) -> None:
    store = opened(folder)
    old = store.get(SMALL_V2)
    recipe = random_recipe("mobilenet_v2", 0.35, 96)
    export(recipe, untrained(recipe.network(), seed=1), "fp32", folder)
    assert store.load(SMALL_V2) == SMALL_V2
    gate = store.get("gate")
    assert isinstance(gate, HeadModel)
    assert gate.base is old
    assert store.get(SMALL_V2) is not old
    assert "is another file than the one" in store.broken["gate.head.npz"]
    assert store.reload().broken == store.broken
    export_random(folder)  # the first base again
    store.load(SMALL_V2)
    gate = store.get("gate")
    assert isinstance(gate, HeadModel)
    assert gate.base is store.get(SMALL_V2)
    assert not store.broken


@pytest.mark.usefixtures("head")
def test_a_head_that_is_loaded_again_does_not_become_the_default(folder: Path) -> None:
    """Its name comes before those of the networks."""
    store = opened(folder)
    assert store.load("gate") == "gate"
    assert store.default == SMALL_V1
    assert [model.name for model in store] == [SMALL_V1, SMALL_V2, "gate"]


@pytest.mark.usefixtures("head")
def test_a_default_that_is_gone_is_a_warning(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """From then on, other classes answer those who name no model."""
    store = ReloadableStore(Selection(folder, default="gate"), load_model)
    (folder / "gate.head.npz").unlink()
    with caplog.at_level("WARNING"):
        store.reload()
        store.reload()
    [warning] = caplog.messages
    assert warning == (
        f"{SMALL_V1} answers requests that name no model: default_model names gate, which is not "
        "loaded; this is the first model of the store."
    )


def test_a_head_file_with_the_name_of_its_base_hides_nothing(folder: Path, head: Head) -> None:
    (folder / "gate.head.npz").rename(folder / f"{SMALL_V2}.head.npz")
    store = opened(folder)
    assert [model.name for model in store] == [SMALL_V1, SMALL_V2, head.card.name]
    store.unload(head.card.name)
    assert store.reload().unchanged == [SMALL_V1, SMALL_V2]


def test_a_head_is_never_the_base_of_another(folder: Path, head: Head) -> None:
    gate = folder / "gate.head.npz"
    card = head.card.model_copy(
        update={"name": "top", "base_sha256": hashlib.sha256(gate.read_bytes()).hexdigest()}
    )
    (folder / "top.head.npz").write_bytes(pack_head(replace(head, card=card), "{}"))
    store = opened(folder)
    assert "top" not in {model.name for model in store}
    assert store.broken["top.head.npz"].startswith("its base")


def test_a_head_appears_and_disappears_with_its_file(folder: Path) -> None:
    store = opened(folder)
    write_head(folder / f"{SMALL_V2}.onnx", "porch")
    assert store.changed()
    assert store.reload().loaded == ["porch"]
    (folder / "porch.head.npz").unlink()
    assert store.reload().dropped == ["porch"]


@pytest.mark.usefixtures("head")
def test_a_base_is_unloaded_after_its_heads(folder: Path) -> None:
    store = opened(folder)
    with pytest.raises(ModelInUse, match=f"{SMALL_V2} is the base of gate"):
        store.unload(SMALL_V2)
    store.unload("gate")
    store.unload(SMALL_V2)
    assert [model.name for model in store] == [SMALL_V1]
    assert store.load(SMALL_V2) == SMALL_V2
    assert store.load("gate") == "gate"
