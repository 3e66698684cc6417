"""The folder of models: what is loaded, and how a start with a broken one ends."""

import os
import shutil
import weakref
from collections.abc import Callable
from pathlib import Path

import onnx
import pytest

from app.card.card import CARD_KEY, parse_card
from app.errors import LastModel, ModelFileError, UnknownModel
from app.model.model import Model, load_model
from app.model.reloadable_store import ReloadableStore
from app.model.store_folder import Selection
from models.export.export import read_metadata
from tests.app.cli_runner import finished
from tests.app.resident import needs_glibc, numbers
from tests.conftest import SMALL_V1, SMALL_V2
from tests.exports import export_random
from tests.robustness.stores import copied

Break = Callable[[Path, Path], object]


def opened(
    folder: Path, names: tuple[str, ...] = (), default: str = "", allow_untrained: bool = False
) -> ReloadableStore:
    return ReloadableStore(Selection(folder, names, default, allow_untrained), load_model)


def without_card(model: Path, folder: Path) -> None:
    proto = onnx.load(model)
    proto.ClearField("metadata_props")
    onnx.save(proto, folder / "foreign.onnx")


def with_unknown_field(model: Path, folder: Path) -> None:
    proto = onnx.load(model)
    text = read_metadata(model)[CARD_KEY].replace('"name"', '"colour":"red","name"', 1)
    onnx.helper.set_model_props(proto, {CARD_KEY: text})
    onnx.save(proto, folder / "coloured.onnx")


def called_auto(model: Path, folder: Path) -> None:
    card = parse_card(read_metadata(model)[CARD_KEY]).model_copy(update={"name": "auto"})
    proto = onnx.load(model)
    onnx.helper.set_model_props(proto, {CARD_KEY: card.model_dump_json()})
    onnx.save(proto, folder / "auto.onnx")


def test_every_model_of_the_folder_is_loaded(store: Path) -> None:
    models = opened(store)
    assert [model.name for model in models] == [SMALL_V1, SMALL_V2]
    assert len(models) == 2
    assert models.get(SMALL_V2).name == SMALL_V2


def test_a_file_of_another_format_beside_the_models_is_named_at_the_start(
    store: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = copied(store, tmp_path / "store")
    opened(folder)
    assert "models import" not in caplog.text
    (folder / "cat.tflite").touch()
    assert len(opened(folder)) == 2
    assert f"`mobilenet-gateway models import {folder / 'cat.tflite'}`" in caplog.text


def test_tritons_layout_is_served_and_a_higher_version_replaces_the_lower(
    store: Path, tmp_path: Path
) -> None:
    for name, stem in (("gate/1", SMALL_V1), ("door/7", SMALL_V2)):
        (tmp_path / name).mkdir(parents=True)
        shutil.copy(store / f"{stem}.onnx", tmp_path / name / "model.onnx")
    models = opened(tmp_path)
    assert {model.name: models.path(model.name) for model in models} == {
        SMALL_V1: tmp_path / "gate/1/model.onnx",
        SMALL_V2: tmp_path / "door/7/model.onnx",
    }
    (tmp_path / "gate/2").mkdir()
    shutil.copy(store / f"{SMALL_V1}.onnx", tmp_path / "gate/2/model.onnx")
    assert models.changed()
    models.reload()
    assert models.path(SMALL_V1) == tmp_path / "gate/2/model.onnx"
    (tmp_path / "gate/3").mkdir()
    (tmp_path / "gate/3/model.onnx").write_bytes(b"broken")
    assert models.reload().broken.keys() == {"gate/3/model.onnx"}
    assert models.path(SMALL_V1) == tmp_path / "gate/2/model.onnx"  # which goes on answering


def test_only_the_named_models_are_loaded(store: Path) -> None:
    assert [model.name for model in opened(store, (SMALL_V2,))] == [SMALL_V2]


@pytest.mark.parametrize(
    ("default", "answers"), [(SMALL_V2, SMALL_V2), ("not-there", SMALL_V1), ("", SMALL_V1)]
)
def test_the_default_model_answers_or_else_the_first(
    store: Path, default: str, answers: str
) -> None:
    models = opened(store, default=default)
    assert models.default == models.get().name == answers


@pytest.mark.parametrize("name", ["mobilenet_v3", ""])
def test_an_unknown_name_is_refused_with_those_there_are(store: Path, name: str) -> None:
    with pytest.raises(UnknownModel, match=f"{name!r}. Loaded models: {SMALL_V1}, {SMALL_V2}"):
        opened(store).get(name)


def test_a_file_in_the_making_is_no_change(store: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(store, tmp_path / "store")
    models = opened(folder)
    (folder / ".b.onnx").touch()
    assert not models.changed()
    (folder / "b.onnx").touch()
    assert models.changed()


def test_a_folder_that_cannot_be_read_is_named_with_the_reason(tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match=r"Cannot read the store .*: File name too long"):
        opened(tmp_path / ("a" * 300))


def test_untrained_models_are_served_if_that_is_allowed(tmp_path: Path) -> None:
    path = export_random(tmp_path, kind="untrained")
    assert [model.name for model in opened(tmp_path, allow_untrained=True)] == [SMALL_V2]
    with pytest.raises(ModelFileError, match=f"{path.name}: its weights are random"):
        opened(tmp_path)


@pytest.mark.unmeasured
@pytest.mark.parametrize(
    ("breaks", "reason"),
    [
        pytest.param(
            lambda _, folder: folder.rmdir(), "{folder} is not a folder", id="missing-folder"
        ),
        pytest.param(lambda *_: None, "{folder} has no .onnx file", id="empty-folder"),
        pytest.param(
            lambda _, folder: (folder / "bad.onnx").write_bytes(bytes(range(256)) * 99),
            "{folder}/bad.onnx: not a model that onnxruntime can load",
            id="random-bytes",
        ),
        pytest.param(without_card, "{folder}/foreign.onnx: no model card", id="no-card"),
        pytest.param(
            with_unknown_field,
            "{folder}/coloured.onnx: its model card is not valid: colour: ",
            id="unknown-field",
        ),
        pytest.param(called_auto, "{folder}/auto.onnx: the name 'auto' is reserved", id="auto"),
        pytest.param(
            lambda _, folder: export_random(folder, kind="untrained"),
            f"{{folder}}/{SMALL_V2}.onnx: its weights are random (untrained). "
            "Set GATEWAY_ALLOW_UNTRAINED=true",
            id="untrained",
        ),
        pytest.param(
            lambda model, folder: [
                shutil.copy(model, folder / name) for name in ("one.onnx", "two.onnx")
            ],
            f"{{folder}}/two.onnx: another file already has the model {SMALL_V1}",
            id="second-of-a-name",
        ),
    ],
)
def test_a_start_that_cannot_be_ends_with_the_file_and_the_reason(
    tmp_path: Path, store: Path, breaks: Break, reason: str
) -> None:
    folder = tmp_path / "store"
    folder.mkdir()
    breaks(store / f"{SMALL_V1}.onnx", folder)
    run = finished("serve", GATEWAY_STORE=str(folder), GATEWAY_PORT="0")
    assert run.status == 1
    assert run.out == ""
    [line] = [line for line in run.err.splitlines() if line.startswith("error: ")]
    assert reason.format(folder=folder) in line
    assert "Traceback" not in run.err
    assert "onnxruntime::" not in run.err


def test_a_start_with_a_model_that_is_not_there_names_those_that_are(store: Path) -> None:
    run = finished("serve", GATEWAY_STORE=str(store), GATEWAY_MODELS=f"{SMALL_V1},mobilenet_v3")
    assert run.status == 1
    assert run.err == (
        f"error: The store {store} has no mobilenet_v3. It has: {SMALL_V1}, {SMALL_V2}.\n"
    )


def test_a_model_is_loaded_and_unloaded_by_name_and_stays_so(store: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(store, tmp_path / "store")
    models = opened(folder, (SMALL_V1,))
    assert models.index() == {SMALL_V1: None, SMALL_V2: "not loaded"}
    with pytest.raises(LastModel, match=SMALL_V1):
        models.unload(SMALL_V1)
    assert models.load(SMALL_V2) == SMALL_V2
    models.unload(SMALL_V1)
    for _ in range(2):
        assert [model.name for model in models] == [SMALL_V2]
        assert models.default == SMALL_V2
        models.reload()
    with pytest.raises(UnknownModel, match=SMALL_V2):
        models.unload(SMALL_V1)
    with pytest.raises(UnknownModel, match="Unknown model"):
        models.load("../x")


def test_a_broken_file_or_a_rival_is_not_loaded_and_changes_nothing(
    store: Path, tmp_path: Path
) -> None:
    folder = shutil.copytree(store, tmp_path / "store")
    models = opened(folder)
    before = models.get(SMALL_V1)
    (folder / "broken.onnx").write_bytes(b"nothing")
    shutil.copy(folder / f"{SMALL_V1}.onnx", folder / "again.onnx")
    with pytest.raises(ModelFileError, match="not a model"):
        models.load("broken")
    with pytest.raises(ModelFileError, match="another file already has"):
        models.load("again")
    assert models.get(SMALL_V1) is before
    assert models.load(SMALL_V1) == SMALL_V1
    assert models.get(SMALL_V1) is not before


def test_a_pipe_in_the_folder_does_not_hold_up_a_reload(store: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(store, tmp_path / "store")
    models = opened(folder)
    os.mkfifo(folder / "pipe.onnx")
    models.reload()
    assert "this is a pipe" in models.broken["pipe.onnx"]
    with pytest.raises(ModelFileError, match="this is a pipe"):
        models.load("pipe")
    assert models.get(SMALL_V1)


def test_what_clients_read_of_a_broken_file_names_no_folder(store: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(store, tmp_path / "store")
    models = opened(folder)
    cut_off = (folder / f"{SMALL_V1}.onnx").read_bytes()[:-1000]
    (folder / "cut.onnx").write_bytes(cut_off)
    models.reload()
    assert "cut.onnx" in models.broken["cut.onnx"]  # onnxruntime says it in the middle
    assert str(folder) not in models.broken["cut.onnx"]


def test_loading_a_model_does_not_make_another_the_default(store: Path, tmp_path: Path) -> None:
    models = opened(shutil.copytree(store, tmp_path / "store"))
    assert models.default == SMALL_V1
    models.load(SMALL_V1)
    assert models.default == SMALL_V1
    models.unload(SMALL_V1)
    assert models.default == SMALL_V2
    models.load(SMALL_V1)
    assert models.default == SMALL_V1  # as it is after a reload
    models.reload()
    assert [model.name for model in models] == [SMALL_V1, SMALL_V2]


def test_models_that_were_named_keep_their_order(store: Path, tmp_path: Path) -> None:
    models = opened(shutil.copytree(store, tmp_path / "store"), (SMALL_V2, SMALL_V1))
    models.load(SMALL_V1)
    models.load(SMALL_V2)
    assert [model.name for model in models] == [SMALL_V2, SMALL_V1]


@needs_glibc
def test_a_model_that_cannot_rest_is_logged_and_all_else_is_given_back(
    store: Path, tmp_path: Path
) -> None:
    folder = copied(store, tmp_path / "store")
    graph = onnx.load(folder / f"{SMALL_V1}.onnx")
    for axis in (1, 2):  # its card says that smaller images will do
        graph.graph.input[0].type.tensor_type.shape.dim[axis].dim_value = 128
    onnx.save(graph, folder / f"{SMALL_V1}.onnx")
    code = """if True:
        import sys
        from pathlib import Path
        import numpy as np
        from app.model.model import load_model
        from app.model.store import Selection, Store
        from tests.app.resident import resident_bytes

        store = Store(Selection(Path(sys.argv[1])), load_model)
        *_, last = store
        last.probabilities(np.zeros((2, 512, 512, 3), np.uint8))
        blocks = [bytes(10_000) for _ in range(10_000)]
        above = bytes(10_000)
        del blocks
        before = resident_bytes()
        store.release_memory()
        print(before - resident_bytes())
    """
    [given_back], logged = numbers(code, folder)
    assert given_back > 100e6 + 20e6  # what was freed, and half of what the last model took
    assert f"Cannot release the memory of {SMALL_V1}: " in logged
    assert f"of {SMALL_V2}" not in logged


def test_a_reload_replaces_one_model_after_another(store: Path, tmp_path: Path) -> None:
    """Of the old sessions only those are held that are not replaced yet."""
    models = opened(copied(store, tmp_path / "store"))
    olds = [weakref.ref(model) for model in models]
    for file in (tmp_path / "store").glob("*.onnx"):
        os.utime(file)
    seen: list[tuple[str, list[bool]]] = []

    def look(model: Model) -> None:
        assert models.get(model.name) is model
        seen.append((model.name, [old() is not None for old in olds]))

    assert models.reload(look).loaded == [SMALL_V1, SMALL_V2]
    assert seen == [(SMALL_V1, [False, True]), (SMALL_V2, [False, False])]
