"""onnxruntime's telemetry stays off, whatever the environment says."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT, SMALL_V1

# Without the variable, importing onnxruntime makes an identifier of the device and a database of
# events below the home folder. The control runs where there is no network that it could reach.
LOAD = "import onnxruntime; onnxruntime.InferenceSession(sys.argv[1])"
CUT_OFF = (
    "import ctypes, os, sys\n"
    "if ctypes.CDLL(None, use_errno=True).unshare(0x10000000 | 0x40000000): sys.exit(77)\n"
)
VARIABLE = "ORT_DISABLE_TELEMETRY"


def files_left_behind(home: Path, code: str, model: Path, **variables: str) -> set[str]:
    """What a process with an empty home and temporary folder leaves in them."""
    for folder in ("home", "tmp"):
        (home / folder).mkdir()
    environment = {name: value for name, value in os.environ.items() if name != VARIABLE}
    environment |= {"HOME": str(home / "home"), "TMPDIR": str(home / "tmp"), **variables}
    environment["XDG_CACHE_HOME"] = ""
    command = [sys.executable, "-c", code, str(model)]
    run = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, check=False)
    if run.returncode == 77:
        pytest.skip("this machine does not let a test cut itself off from the network")
    assert run.returncode == 0, run.stderr.decode()
    return {path.name for path in home.rglob("*") if path.is_file()}


@pytest.mark.parametrize("value", ["", "0", "false", "1"])
def test_the_service_leaves_nothing_of_telemetry_behind(
    tmp_path: Path, store: Path, value: str
) -> None:
    code = (
        "import os, sys\n"
        "import app.model.runtime\n"
        f"assert os.environ['{VARIABLE}'] == '1'\n"
        "from app.model.model import load_model\n"
        "from pathlib import Path\n"
        "load_model(Path(sys.argv[1]))\n"
    )
    model = store / f"{SMALL_V1}.onnx"
    assert files_left_behind(tmp_path, code, model, **{VARIABLE: value}) == set()


def test_the_variable_is_set_before_onnxruntime_is_imported() -> None:
    code = (
        "import os, sys\n"
        "class Watch:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        f"        if name == 'onnxruntime': print(os.environ.get('{VARIABLE}'))\n"
        "sys.meta_path.insert(0, Watch())\n"
        "import app.http.application\n"
    )
    environment = {**os.environ, VARIABLE: "0"}
    run = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT, env=environment, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert run.stdout == "1\n"


@pytest.mark.skipif(sys.platform != "linux", reason="onnxruntime's telemetry differs elsewhere")
def test_without_the_variable_onnxruntime_would_leave_its_database(
    tmp_path: Path, store: Path
) -> None:
    found = files_left_behind(tmp_path, CUT_OFF + LOAD, store / f"{SMALL_V1}.onnx")
    if not found:
        pytest.skip("this onnxruntime keeps no database: there is nothing to compare with")
    assert "onnxruntime.db" in found
