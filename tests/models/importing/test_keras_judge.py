"""Keras judges a whole model where it is installed, and never runs code of the file."""

import json
import zipfile
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from models.importing.adopt import adopt_file
from models.importing.checks import Refused
from models.importing.dialogue.options import Choices
from models.importing.judges import keras
from models.importing.report import Finding
from tests.models.translation.keras.record_models import ANSWERS, FOLDER, PIXELS

UNLOADABLE = ("arithmetic.h5", "numbers_first.h5")  # Keras 3 writes them and cannot read them
FILES = sorted(
    path.name for path in FOLDER.glob("*.*") if path.name not in (ANSWERS.name, *UNLOADABLE)
)
SCORES = "deep_head.keras"
INSTALLED = find_spec("keras") is not None
needs_keras = pytest.mark.skipif(
    not INSTALLED, reason="needs Keras: pip install keras tensorflow-cpu"
)
no_keras = pytest.mark.skipif(INSTALLED, reason="is about environments without Keras")


def judged(path: Path, labels: Path) -> Finding:
    labels.write_text("a\nb\nc")
    choices = Choices(labels=str(labels), mean=(0.5,), std=(0.5,))
    findings = adopt_file(path, choices, "own").findings
    return next(one for one in findings if one.what == "judged by")


def changed(folder: Path, change: Callable[[dict[str, Any]], None]) -> Path:
    """A model whose configuration is changed."""
    made = folder / SCORES
    with zipfile.ZipFile(FOLDER / SCORES) as old, zipfile.ZipFile(made, "w") as new:
        for name in old.namelist():
            content = old.read(name)
            if name == "config.json":
                config = json.loads(content)
                change(config)
                content = json.dumps(config).encode()
            new.writestr(name, content)
    return made


@needs_keras
def test_keras_gives_its_recorded_answers() -> None:
    with np.load(ANSWERS) as recorded:
        answers = dict(recorded)
    for name in FILES:
        judge, reason = keras.judgement(FOLDER / name)
        assert judge is not None, reason
        expected = answers[name.partition(".")[0]]
        found = judge.scores(PIXELS.astype(np.float32))
        assert np.abs(found - expected).max() < 1e-5 * max(np.abs(expected).max(), 1)


@needs_keras
def test_an_import_names_keras_as_its_judge(tmp_path: Path) -> None:
    assert judged(FOLDER / SCORES, tmp_path / "labels.txt").value.startswith("Keras 3.")


@needs_keras
def test_a_translation_that_differs_from_keras_is_never_adopted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = keras.Keras.scores
    monkeypatch.setattr(keras.Keras, "scores", lambda self, fed: real(self, fed) + 0.1)
    monkeypatch.setattr(keras.Keras, "tolerance", 0.0)
    with pytest.raises(Refused, match=r"off what Keras 3.* answers, so it is not adopted"):
        judged(FOLDER / SCORES, tmp_path / "labels.txt")


@needs_keras
def test_a_size_that_keras_rejects_is_told() -> None:
    judge, _ = keras.judgement(FOLDER / "called_twice.keras")
    assert judge is not None
    with pytest.raises(Refused, match=r"cannot run the model on images of 12 pixels: .*9"):
        judge.scores(np.zeros((1, 12, 12, 3), np.float32))


@needs_keras
@pytest.mark.parametrize("name", UNLOADABLE)
def test_a_file_that_keras_cannot_load_is_judged_by_nobody(name: str) -> None:
    judge, reason = keras.judgement(FOLDER / name)
    assert judge is None
    assert reason is not None
    assert "cannot load the file" in reason


@no_keras
def test_without_keras_the_import_says_what_could_judge(tmp_path: Path) -> None:
    finding = judged(FOLDER / SCORES, tmp_path / "labels.txt")
    assert (finding.value, finding.known_by) == (
        "nobody",
        "not judged: install keras and tensorflow",
    )


@pytest.mark.parametrize(
    "stranger",
    [
        {"class_name": "Lambda", "config": {}},
        {"class_name": "__lambda__", "config": {"value": "4wEAAAA="}},
        {"class_name": "TorchModuleWrapper", "module": "keras.layers", "config": {}},
        {"class_name": "Zeros", "module": "os", "config": {}},
        {"class_name": "function", "module": "builtins", "config": "own"},
        {"class_name": ["Zeros"], "config": {}},
    ],
)
@pytest.mark.parametrize("key", ["kernel_initializer", "activity_regularizer"])
def test_a_file_with_a_class_that_may_run_code_is_never_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stranger: dict[str, Any], key: str
) -> None:
    def smuggle(config: dict[str, Any]) -> None:
        config["config"]["layers"][2]["config"][key] = {"deep": [stranger]}

    monkeypatch.setattr(keras, "find_spec", lambda _: object())  # as if it were installed
    judge, reason = keras.judgement(changed(tmp_path, smuggle))
    assert judge is None
    assert reason is not None
    assert "may run code in Keras" in reason
