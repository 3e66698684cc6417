"""What is no ONNX file is said so, by whoever reads it."""

from pathlib import Path

import pytest

from models.export import read_metadata
from models.graph_cost import graph_cost
from models.onnx_file import OnnxFileError, read_model


@pytest.mark.parametrize("read", [read_model, read_metadata, graph_cost])
def test_a_file_that_is_no_onnx_is_named_with_the_reason(read: object, tmp_path: Path) -> None:
    assert callable(read)
    path = tmp_path / "photo.onnx"
    with pytest.raises(OnnxFileError, match=r"photo\.onnx is not a file"):
        read(path)
    for content in (b"", b"\xff\xd8\xff\xe0 a photo", b"PK\x03\x04"):
        path.write_bytes(content)
        with pytest.raises(OnnxFileError, match=r"photo\.onnx is not an ONNX file, or a damaged"):
            read(path)
