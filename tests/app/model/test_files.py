"""The files of a folder that are models."""

from pathlib import Path

import pytest

from app.errors import ModelFileError
from app.model.files import file_name, file_stem, find_files, read_stamps, stamp


def test_files_in_the_making_and_other_files_are_left_alone(tmp_path: Path) -> None:
    for name in ("b.onnx", "a.onnx", ".a.onnx.123", ".c.onnx", "notes.txt", "d.onnx.part"):
        (tmp_path / name).touch()
    assert [path.name for path in find_files(tmp_path)] == ["a.onnx", "b.onnx"]


def test_the_highest_version_of_tritons_layout_is_a_model_too(tmp_path: Path) -> None:
    for name in (
        "a.onnx", "gate/1/model.onnx", "gate/10/model.onnx", "gate/9/model.onnx",
        "door/1/model.onnx", "door/new/model.onnx", "door/2/other.onnx", ".hidden/1/model.onnx",
        "photos/model.onnx", "deep/a/1/model.onnx",
    ):  # fmt: skip
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    found = find_files(tmp_path)
    assert [file_name(path) for path in found] == [
        "a.onnx", "door/1/model.onnx", "gate/10/model.onnx",
    ]  # fmt: skip
    assert [file_stem(path) for path in found] == ["a", "door", "gate"]
    assert find_files(tmp_path, ("gate",)) == [tmp_path / "gate/10/model.onnx"]
    assert read_stamps(tmp_path).keys() == set(found)


def test_a_file_is_told_from_the_one_that_lay_there_before(tmp_path: Path) -> None:
    path = tmp_path / "a.onnx"
    path.write_bytes(b"one")
    before = read_stamps(tmp_path)
    assert before == {path: stamp(path)}
    (tmp_path / "new").write_bytes(b"two")
    (tmp_path / "new").replace(path)
    assert read_stamps(tmp_path) != before
    assert read_stamps(tmp_path) == read_stamps(tmp_path)


def test_a_file_that_may_be_read_now_looks_different(tmp_path: Path) -> None:
    path = tmp_path / "a.onnx"
    path.write_bytes(b"one")
    path.chmod(0)
    before = read_stamps(tmp_path)
    path.chmod(0o600)
    assert read_stamps(tmp_path) != before


def test_what_is_gone_has_no_stamp_and_no_look(tmp_path: Path) -> None:
    assert read_stamps(tmp_path / "nothing") == {}
    with pytest.raises(ModelFileError, match="No such file"):
        stamp(tmp_path / "a.onnx")


def test_files_of_other_formats_are_named_with_the_command_that_imports_them(
    tmp_path: Path,
) -> None:
    (tmp_path / "notes.txt").touch()
    with pytest.raises(ModelFileError, match=r"has no \.onnx file\. Fetch the default model"):
        find_files(tmp_path)
    for name in ("cat.tflite", "dog.PT", ".dog.pt"):
        (tmp_path / name).touch()
    with pytest.raises(ModelFileError) as caught:
        find_files(tmp_path)
    assert str(caught.value) == (
        f"The store {tmp_path} has no .onnx file. cat.tflite, dog.PT cannot be served before an "
        f"import: `mobilenet-gateway models import {tmp_path}/cat.tflite`."
    )
