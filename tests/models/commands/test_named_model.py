"""Models as the command line names them."""

from pathlib import Path

import pytest

from tests.app.cli_runner import refused
from tests.models.cli_runner import Capture

pytestmark = pytest.mark.usefixtures("empty_folder")


@pytest.mark.parametrize("command", ["show", "cost"])
def test_an_unknown_model_is_rejected_with_those_that_are_near(
    capsys: Capture, command: str
) -> None:
    text = refused(capsys, "models", command, "mobilenet_v3")
    assert text.startswith("Unknown model 'mobilenet_v3' in the zoo. Similar names:\n  mobilenet_v")
    assert "models list" in text


@pytest.mark.parametrize("command", ["show", "cost"])
def test_a_file_that_is_no_model_is_rejected(capsys: Capture, command: str, tmp_path: Path) -> None:
    path = tmp_path / "broken.onnx"
    path.write_bytes(b"junk")
    assert refused(capsys, "models", command, str(path)).startswith(f"{path} is not an ONNX file")
    assert refused(capsys, "models", command, "gone.onnx") == "gone.onnx is not a file."
