"""`mobilenet-gateway models`: what the service pays for knowing these commands."""

import subprocess
import sys

BUILD_TOOLS = {"h5py", "httpx", "numpy", "onnx", "onnxruntime", "PIL", "safetensors", "tflite"}


def test_the_command_line_does_not_load_the_build_tools_to_serve() -> None:
    """They took 25 MB of the service and a third of a second of its start."""
    code = "import sys, app.cli, models.cli; print(*sys.modules)"
    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )  # fmt: skip
    assert BUILD_TOOLS.isdisjoint(run.stdout.split())
