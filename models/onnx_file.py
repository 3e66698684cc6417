"""Reading an ONNX file, or a plain word on why it cannot be read."""

from pathlib import Path

import onnx

from app.errors import first_line

MAX_BYTES = 2**31 - 1  # protobuf's own limit for a message


class OnnxFileError(ValueError):
    """A file is not a readable ONNX model; the text names it and says why."""


def read_model(path: Path, *, external_data: bool = True) -> onnx.ModelProto:
    """The model in a file; `external_data` reads weights that lie in files beside it as well.

    Raises:
        OnnxFileError: no such file, too large, not ONNX, damaged, or its weights are missing.
    """
    if not path.is_file():
        raise OnnxFileError(f"{path} is not a file")
    if path.stat().st_size > MAX_BYTES:
        raise OnnxFileError(f"{path} is larger than 2 GB, more than an ONNX file can be")
    try:
        model = onnx.load(path, load_external_data=external_data)
    except Exception as error:  # protobuf's decode errors have no common class
        raise OnnxFileError(
            f"{path} is not an ONNX file, or a damaged one: {first_line(error)}"
        ) from error
    if not model.graph.node or not model.opset_import:  # protobuf reads nearly anything
        raise OnnxFileError(f"{path} is not an ONNX file, or a damaged one: it has no graph")
    return model
