"""`mobilenet-gateway models`: what the service pays for knowing these commands."""

import subprocess
import sys

BUILD_TOOLS = {"h5py", "httpx", "numpy", "onnx", "onnxruntime", "PIL", "safetensors", "tflite"}


def loaded_by(modules: str) -> list[str]:
    """Every module that is loaded with these."""
    code = f"import sys, {modules}; print(*sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return run.stdout.split()


def test_the_command_line_does_not_load_the_build_tools_to_serve() -> None:
    """They took 25 MB of the service and a third of a second of its start."""
    assert BUILD_TOOLS.isdisjoint(loaded_by("app.commands.cli, models.commands.cli"))


def test_preparing_models_loads_no_web_framework() -> None:
    commands = (
        "app.inference.classify, models.evaluation.evaluate,"
        "models.quantization.quantize, models.export.export"
    )
    assert {"fastapi", "starlette"}.isdisjoint(loaded_by(commands))
