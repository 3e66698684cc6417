"""Files and folders that are no model, or one that has to be converted first, by their names."""

import re
import zipfile
from pathlib import Path, PurePosixPath
from typing import Final

from models.checkpoints.stored_zip import DAMAGED
from models.checkpoints.stored_zip import START as ZIP
from models.importing.checks import Refused

HEAD_BYTES = 4096
TABLE_END = bytes.fromhex("57fb808b247547db")  # of the sorted tables that TensorFlow writes
MODELS = (".onnx", ".tflite", ".h5", ".keras", ".pth", ".pt", ".safetensors")
MOST_NAMED = 3

CONVERT_SAVED: Final = (
    "Convert it: python -m tf2onnx.convert --saved-model FOLDER --output model.onnx, "
    "or with tf.lite.TFLiteConverter.from_saved_model(FOLDER)."
)
CONVERT_FROZEN: Final = (
    "Convert it: python -m tf2onnx.convert --graphdef FILE --inputs NAME:0 --outputs NAME:0 "
    "--output model.onnx."
)
CONVERT_JS: Final = (
    "In Teachable Machine, export it again as TensorFlow Lite or as Keras. Else convert it: "
    "tensorflowjs_converter --input_format tfjs_layers_model --output_format keras model.json "
    "model.h5."
)
SAVE_KERAS: Final = (
    "Load it in the program that trained it, and save all: model.save('model.keras')."
)
ORIGINAL: Final = (
    "Import the model from which it was converted, or export that to ONNX: torch.onnx.export, "
    "or python -m tf2onnx.convert."
)
UNPACK: Final = "Unpack it, and import the model in it."

PACKED = {
    b"\x1f\x8b": "gzip",
    b"BZh": "bzip2",
    b"\xfd7zXZ\0": "xz",
    b"\x28\xb5\x2f\xfd": "zstd",
    b"7z\xbc\xaf\x27\x1c": "7z",
    b"Rar!\x1a\x07": "rar",
}
# formats of programs that convert a model for themselves
SUFFIXES = {
    ".mlmodel": "a Core ML model",
    ".ort": "a model in onnxruntime's own format",
    ".engine": "a TensorRT engine",
    ".trt": "a TensorRT engine",
    ".mnn": "an MNN model",
    ".param": "an ncnn model",
    ".rknn": "a model for Rockchip's NPU",
    ".hef": "a model for Hailo's accelerator",
    ".blob": "an OpenVINO blob",
    ".pdmodel": "a PaddlePaddle model",
    ".pdiparams": "weights of PaddlePaddle",
    ".caffemodel": "a Caffe model",
    ".prototxt": "the description of a Caffe model",
    ".task": "a MediaPipe bundle",
}


def refuse_foreign(path: Path) -> None:
    """Return for a file that may be a model.

    Raises:
        Refused: it is known to be something else; the text says what, and what to do.
        OSError: it cannot be read.
    """
    if path.is_dir():
        raise Refused(f"{path.name} is {_folder(path)}")
    if not path.is_file():
        return
    with path.open("rb") as file:
        head = file.read(HEAD_BYTES)
        file.seek(max(path.stat().st_size - len(TABLE_END), 0))
        end = file.read()
    found = _zip(path) if head.startswith(ZIP) else _text(path, head) or _binary(path, head, end)
    if found:
        raise Refused(f"{path.name} is {found}")


def _folder(path: Path) -> str:
    if (path / "saved_model.pb").is_file():
        return f"the folder of a TensorFlow SavedModel. {CONVERT_SAVED}"
    if path.suffix.lower() == ".mlpackage":
        return f"a Core ML model. {ORIGINAL}"
    if (path / "model.json").is_file():
        return f"the folder of a TensorFlow.js model. {CONVERT_JS}"
    if models := sorted(one.name for one in path.iterdir() if one.suffix.lower() in MODELS):
        return f"a folder. Import one of the files in it: {_few(models)}."
    return "a folder, not a file of a model."


def _text(path: Path, head: bytes) -> str | None:
    start = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    suffix = path.suffix.lower()
    if start.startswith(b"version https://git-lfs"):
        return (
            "a Git LFS pointer, not the model itself. Run 'git lfs pull' in its repository, or "
            "download the file from its web page."
        )
    if start.startswith((b"<!doctype html", b"<html")):
        return (
            "a web page that was saved instead of the model. Download the file itself: on GitHub "
            "with 'Download raw file', on Hugging Face with 'resolve' instead of 'blob' in its "
            "address."
        )
    if start.startswith((b"<?xml", b"<net")) and (b"<net" in start or suffix == ".xml"):
        return f"an OpenVINO model. {ORIGINAL}"
    if re.match(rb'\{\s*"', start):
        if b'"weightsmanifest"' in start or b'"modeltopology"' in start:
            return f"the description of a TensorFlow.js model. {CONVERT_JS}"
        if suffix == ".json":
            return f"the description of a model without its weights. {SAVE_KERAS}"
    if start.startswith(b"model_checkpoint_path"):
        return f"the index of TensorFlow checkpoints. {SAVE_KERAS}"
    if suffix == ".pbtxt":
        return f"a TensorFlow graph as text, without its weights. {CONVERT_FROZEN}"
    return None


def _binary(path: Path, head: bytes, end: bytes) -> str | None:
    suffix = path.suffix.lower()
    for start, name in PACKED.items():
        if head.startswith(start):
            return f"packed with {name}. {UNPACK}"
    if head[257:262] == b"ustar":
        return f"a tar archive. {UNPACK}"
    shard = re.search(r"\.data-\d+-of-\d+$", path.name)
    if shard or end == TABLE_END or re.search(r"\.ckpt(-\d+)?\.meta$", path.name):
        return f"part of a TensorFlow checkpoint. {SAVE_KERAS}"
    if suffix == ".pb" and not _is_onnx(head):
        if head.startswith(b"\x08\x01\x12"):  # the version of a SavedModel is 1
            return f"a TensorFlow SavedModel. {CONVERT_SAVED}"
        return f"a frozen TensorFlow graph. {CONVERT_FROZEN}"
    if suffix == ".bin" and path.with_suffix(".xml").is_file():
        return f"the weights of an OpenVINO model. {ORIGINAL}"
    return f"{SUFFIXES[suffix]}. {ORIGINAL}" if suffix in SUFFIXES else None


def _is_onnx(head: bytes) -> bool:
    """Whether a protobuf starts with a version of ONNX' format that is in use."""
    return len(head) > 1 and head[0] == 0x08 and head[1] >= 3


def _zip(path: Path) -> str | None:
    """What an archive is, unless it is a file of torch or Keras, or cannot be told."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except DAMAGED:
        return None
    files = {PurePosixPath(name).name for name in names}
    if not names or files & {"data.pkl", "model.weights.h5", "constants.pkl"}:
        return None
    if "saved_model.pb" in files:
        return f"the zip of a TensorFlow SavedModel. Unpack it. {CONVERT_SAVED}"
    if "model.json" in files:
        return f"the zip of a TensorFlow.js model. {CONVERT_JS}"
    if any(PurePosixPath(name).suffix == ".mlmodel" for name in names):
        return f"the zip of a Core ML model. {ORIGINAL}"
    models = sorted(name for name in files if PurePosixPath(name).suffix.lower() in MODELS)
    if models:
        return f"a zip archive. Unpack it, and import the model in it: {_few(models)}."
    return f"a zip archive without a model that can be imported: it has {_few(sorted(files))}."


def _few(names: list[str]) -> str:
    more = f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""
    return ", ".join(name[:100] for name in names[:MOST_NAMED]) + more
