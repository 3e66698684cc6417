"""The environment of the clients, apart from ours; `make clients` makes it."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import ROOT

PYTHON = ROOT / ".venv-clients" / "bin" / "python"
SCRIPTS = Path(__file__).parent / "scripts"
END_S = 180


def answer_of(script: str, *arguments: object) -> Any:
    """What one of the scripts prints, run by the clients' interpreter; skips without it."""
    if not PYTHON.is_file():
        pytest.skip("needs the clients of other servers in .venv-clients: run `make clients`")
    done = subprocess.run(
        [PYTHON, SCRIPTS / script, *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=END_S,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)
