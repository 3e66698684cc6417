"""Which form of the default model answers, and when the other one is loaded."""

import shutil
from pathlib import Path

import numpy as np
import onnxruntime
import pytest

from app.errors import ModelFileError
from app.model.model import load_model
from app.model.reloadable_store import ReloadableStore
from app.model.store_folder import Selection
from app.system.cpu import int8_obstacle_of
from tests.app.model.stored_forms import FLOAT, INT8, SelfTest, put_float, put_int8

DEFAULT = "mobilenet_v2_1.0_224"


@pytest.fixture(scope="module")
def forms(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("forms")
    put_int8(folder)
    put_float(folder)
    return folder


def opened(
    folder: Path,
    default: str | None = None,
    *,
    obstacle: str | None = None,
    both: bool = False,
    names: tuple[str, ...] = (),
) -> ReloadableStore:
    selection = Selection(folder, names, default, both_forms=both, int8_obstacle=obstacle)
    return ReloadableStore(selection, load_model)


def states(store: ReloadableStore) -> dict[str, str]:
    return {model.name: model.state for model in store}


def test_int8_answers_and_the_float_form_waits(forms: Path) -> None:
    store = opened(forms)
    assert store.default == store.get().name == INT8
    assert states(store) == {FLOAT: "not_loaded", INT8: "loaded"}
    assert store.default_reason == (
        f"the INT8 form of {FLOAT}, the first model of the store: its kernels do not saturate and "
        "are faster on this machine, and it agrees with the float form on 97.5 % of images"
    )


def test_float_answers_where_int8_is_no_choice(forms: Path) -> None:
    store = opened(forms, obstacle="this CPU is old")
    assert store.default == FLOAT
    assert states(store) == {FLOAT: "loaded", INT8: "not_loaded"}
    assert store.default_reason.endswith("the first model of the store: this CPU is old")


@pytest.mark.parametrize(
    ("self_test", "reason"),
    [
        ("fails", "its self-test failed on this machine: the answer differs by "),
        ("missing", "its file has no self-test"),
        ("malformed", "the self-test of its file is not valid"),
    ],
)
def test_float_answers_where_the_int8_file_does_not_compute_what_it_should(
    tmp_path: Path, self_test: SelfTest, reason: str
) -> None:
    put_int8(tmp_path, self_test)
    put_float(tmp_path)
    store = opened(tmp_path)
    assert store.default == FLOAT
    assert store.get().state == "loaded"
    assert reason in store.default_reason


def test_float_answers_where_int8_loses(tmp_path: Path) -> None:
    put_int8(tmp_path, agreement=94.9)
    put_float(tmp_path)
    store = opened(tmp_path)
    assert store.default == FLOAT
    assert store.default_reason.endswith(f"{INT8} agrees with it on 94.9 % of images only")


def test_of_several_int8_forms_the_one_that_agrees_best_answers(tmp_path: Path) -> None:
    put_int8(tmp_path, name="a_ptq", agreement=96)
    put_int8(tmp_path, name="b_ptq", agreement=98)
    put_float(tmp_path)
    assert opened(tmp_path).default == "b_ptq"


def test_a_model_without_another_form_answers_itself(tmp_path: Path) -> None:
    put_float(tmp_path)
    assert opened(tmp_path).default == FLOAT
    (tmp_path / f"{FLOAT}.onnx").unlink()
    put_int8(tmp_path, "missing")
    assert opened(tmp_path, obstacle="this CPU is old").default == INT8


def test_forms_of_the_default_model_come_before_the_first_model(tmp_path: Path) -> None:
    put_float(tmp_path)
    name = put_int8(tmp_path, source=DEFAULT).stem
    assert opened(tmp_path).default == name


def test_a_named_default_is_what_answers_and_all_is_loaded(forms: Path) -> None:
    store = opened(forms, FLOAT)
    assert store.default == FLOAT
    assert states(store) == {FLOAT: "loaded", INT8: "loaded"}


def test_both_forms_are_loaded_at_start_by_setting(forms: Path) -> None:
    store = opened(forms, both=True)
    assert store.default == INT8
    assert states(store) == {FLOAT: "loaded", INT8: "loaded"}


def test_a_form_that_is_not_selected_is_no_choice(forms: Path) -> None:
    store = opened(forms, names=(FLOAT,))
    assert store.default == FLOAT
    assert states(store) == {FLOAT: "loaded"}


def test_a_waiting_form_is_described_as_a_loaded_one(forms: Path) -> None:
    waiting, loaded = opened(forms).get(FLOAT), load_model(forms / f"{FLOAT}.onnx")
    assert (waiting.card, waiting.file_bytes) == (loaded.card, loaded.file_bytes)
    session = onnxruntime.InferenceSession(forms / f"{FLOAT}.onnx")
    shapes = {output.name: output.shape[1] for output in session.get_outputs()}
    assert waiting.outputs == {name: shapes[name] for name in ("probabilities", "embedding")}
    assert waiting.any_batch
    assert waiting.providers == []
    before = waiting.state  # none of these has opened it
    waiting.load()
    assert (before, waiting.state) == ("not_loaded", "loaded")
    assert waiting.providers == ["cpu"]


def test_an_unloaded_form_is_loaded_again_when_it_is_used(forms: Path) -> None:
    waiting = opened(forms).get(FLOAT)
    image = np.zeros((1, 32, 32, 3), np.uint8)
    first = waiting.run(("probabilities",), image)
    in_use = waiting.session
    waiting.unload()
    waiting.unload()
    assert (waiting.state, waiting.providers) == ("not_loaded", [])
    waiting.release_memory()
    assert np.array_equal(in_use.run(["probabilities"], {"image": image})[0], first)
    assert np.array_equal(waiting.run(("probabilities",), image), first)
    assert waiting.state == "loaded"


def test_a_waiting_form_whose_file_was_replaced_is_not_loaded_unseen(tmp_path: Path) -> None:
    put_int8(tmp_path)
    path = put_float(tmp_path)
    store = opened(tmp_path)
    shutil.copy(path, tmp_path / "other")
    (tmp_path / "other").rename(path)
    with pytest.raises(ModelFileError, match=r"the file has changed. Reload the store."):
        store.get(FLOAT).load()
    store.reload()
    store.get(FLOAT).load()
    assert store.get(FLOAT).state == "loaded"


def test_a_broken_waiting_form_ends_the_start_as_any_other(tmp_path: Path) -> None:
    put_int8(tmp_path)
    path = put_float(tmp_path)
    path.write_bytes(path.read_bytes()[:-1000])
    with pytest.raises(ModelFileError, match=rf"{FLOAT}.onnx: "):
        opened(tmp_path)


def test_a_reload_decides_as_a_restart_would(tmp_path: Path) -> None:
    put_float(tmp_path)
    store = opened(tmp_path)
    path = put_int8(tmp_path)
    store.reload()
    assert store.default == opened(tmp_path).default == INT8
    assert store.get(FLOAT).state == "loaded"  # since the start
    path.unlink()
    store.reload()
    assert store.default == opened(tmp_path).default == FLOAT


def test_a_waiting_form_is_loaded_when_it_becomes_the_default(forms: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(forms, tmp_path / "store")
    store = opened(folder)
    (folder / f"{INT8}.onnx").unlink()
    store.reload()
    assert store.default == FLOAT
    assert states(store) == {FLOAT: "loaded"}
    store = opened(forms)
    store.unload(INT8)
    assert store.default == FLOAT
    assert states(store) == {FLOAT: "loaded"}


@pytest.mark.parametrize(
    ("machine", "flags", "obstacle"),
    [
        ("x86_64", "avx2 avx512f avx512_vnni", None),
        ("x86_64", "avx2 avx_vnni", None),
        ("x86_64", "avx2 avx512f", "this CPU has no VNNI"),
        ("aarch64", "", None),  # also without asimddp
        ("riscv64", "", "INT8 has not been measured on riscv64"),
    ],
)
def test_what_a_cpu_says_of_int8(machine: str, flags: str, obstacle: str | None) -> None:
    found = int8_obstacle_of(machine, flags)
    assert found == obstacle or (found and obstacle and found.startswith(obstacle))
