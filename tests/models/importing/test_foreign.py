"""Files and folders that are no model are named as what they are, with the way out."""

import gzip
import tarfile
import zipfile
from pathlib import Path

import pytest

from models.importing.adopt import adopt_file
from models.importing.checks import Refused
from models.importing.dialogue.options import Choices
from tests.app.cli_runner import refused
from tests.models.importing.exported import TORCH
from tests.models.importing.finetuned import KERAS, adopted, unpack

LFS = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 2256700\n"
TABLE_END = bytes.fromhex("57fb808b247547db")
FILES: list[tuple[str, bytes, str]] = [
    ("m.tflite", LFS, r"a Git LFS pointer, not the model itself\. Run 'git lfs pull'"),
    ("m.h5", LFS, "a Git LFS pointer"),
    ("m.onnx", LFS, "a Git LFS pointer"),
    ("m.onnx", b"\n\n<!DOCTYPE html>\n<html lang='en'>", "a web page .* Download the file itself"),
    ("m.h5", b"<html><head>", "a web page"),
    ("m.tflite.gz", gzip.compress(b"TFL3", mtime=0), r"packed with gzip\. Unpack it"),
    ("m.7z", b"7z\xbc\xaf\x27\x1c\0\4", "packed with 7z"),
    ("m.rar", b"Rar!\x1a\x07\0", "packed with rar"),
    (
        "model.json",
        b'{"format": "layers-model", "modelTopology": {}}',
        "TensorFlow.js model.*Teac",
    ),
    (
        "model.json",
        b'{"class_name": "Sequential", "config": {}}',
        "without its weights.*model.sav",
    ),
    ("m.xml", b'<?xml version="1.0"?>\n<net name="m" version="11">', "an OpenVINO model"),
    ("m.pb", b"\x0a\x2c\x0a\x05input", r"a frozen TensorFlow graph\. .*tf2onnx.*--graphdef"),
    ("saved_model.pb", b"\x08\x01\x12\xff\x01", "a TensorFlow SavedModel.*--saved-model"),
    ("graph.pbtxt", b"node {\n  name: 'x'", "a TensorFlow graph as text"),
    ("m.mlmodel", b"\x08\x04\x12\x05", "a Core ML model.*torch.onnx.export"),
    ("m.ckpt.data-00000-of-00001", b"\0" * 64, r"TensorFlow checkpoint.*model\.save"),
    ("m.ckpt.index", b"\0" * 64 + TABLE_END, "TensorFlow checkpoint"),
    ("m.ckpt", b"\0" * 64 + TABLE_END, "TensorFlow checkpoint"),
    ("m.ckpt-900.meta", b"\n\x12\x14", "TensorFlow checkpoint"),
    ("checkpoint", b'model_checkpoint_path: "m.ckpt"\n', "the index of TensorFlow checkpoints"),
    ("m.ort", b"\x18\0\0\0ORTM", "onnxruntime's own format"),
    ("m.engine", b"ftrt", "a TensorRT engine"),
]


@pytest.mark.parametrize(("name", "content", "reason"), FILES, ids=[name for name, *_ in FILES])
def test_a_file_of_something_else_is_named(
    name: str, content: bytes, reason: str, tmp_path: Path
) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(Refused, match=reason) as caught:
        adopt_file(path, Choices())
    assert str(caught.value).startswith(f"{name} is ")
    assert str(caught.value).endswith(".")


@pytest.mark.parametrize(
    ("entries", "reason"),
    [
        (["saved_model.pb", "variables/variables.index"], "the zip of a TensorFlow SavedModel"),
        (["model.json", "weights.bin", "metadata.json"], "TensorFlow.js.* export it again as"),
        (["Manifest.json", "Data/x/model.mlmodel"], "the zip of a Core ML model"),
        (["a/trained.tflite", "README.md"], "a zip archive.*import the model in it: trained.tfl"),
        (["photo.jpg"], r"a zip archive without a model .*: it has photo\.jpg\."),
    ],
)
def test_an_archive_of_something_else_is_named(
    entries: list[str], reason: str, tmp_path: Path
) -> None:
    path = tmp_path / "download.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for name in entries:
            archive.writestr(name, b"{}")
    with pytest.raises(Refused, match=reason):
        adopt_file(path, Choices())


def test_a_tar_archive_is_to_be_unpacked(tmp_path: Path) -> None:
    inner, path = tmp_path / "model.tflite", tmp_path / "mobilenet_v2.tar"
    inner.write_bytes(b"\0\0\0\0TFL3")
    with tarfile.open(path, "w") as archive:
        archive.add(inner, inner.name)
    with pytest.raises(Refused, match=r"a tar archive\. Unpack it"):
        adopt_file(path, Choices())


@pytest.mark.parametrize(
    ("folder", "member", "reason"),
    [
        ("1", "saved_model.pb", "the folder of a TensorFlow SavedModel"),
        ("m.mlpackage", "Manifest.json", "a Core ML model"),
        ("web", "model.json", "the folder of a TensorFlow.js model"),
        ("exports", "m.onnx", r"a folder\. Import one of the files in it: m\.onnx\."),
        ("empty", "notes.md", "a folder, not a file"),
    ],
)
def test_a_folder_is_named(folder: str, member: str, reason: str, tmp_path: Path) -> None:
    (tmp_path / folder).mkdir()
    (tmp_path / folder / member).write_bytes(b"")
    with pytest.raises(Refused, match=reason):
        adopt_file(tmp_path / folder, Choices())


def test_a_keras_file_of_another_name_is_one_of_keras(tmp_path: Path) -> None:
    path = unpack(KERAS, tmp_path).rename(tmp_path / "own.zip")
    assert adopted(path).card.family == "mobilenet_v2"


def test_an_onnx_file_called_pb_is_adopted(tmp_path: Path) -> None:
    path = TORCH.unpack(tmp_path).rename(tmp_path / "own.pb")
    assert adopted(path, like="torchvision", resolution=None).card.family == "mobilenet_v2"


def test_the_command_says_it_in_one_line(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    path = tmp_path / "model.tflite"
    path.write_bytes(LFS)
    text = refused(capsys, "models", "import", str(path), "--store", str(tmp_path / "store"))
    assert "model.tflite is a Git LFS pointer" in text
    assert "\n" not in text
