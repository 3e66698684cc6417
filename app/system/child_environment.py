"""The environment of a child process of the service: without secrets, with the same code."""

import os
import sys
from pathlib import Path

CODE = str(Path(__file__).resolve().parents[2])  # the folder of the package `app`
PASSED_ON = ("PYTHON", "LD_", "LC_", "LANG", "MALLOC_", "OPENBLAS_", "COVERAGE_", "PATH", "TZ")


def child_environment() -> dict[str, str]:
    """Variables that Python needs, and none of the service's settings, such as its keys."""
    found = {name: text for name, text in os.environ.items() if name.startswith(PASSED_ON)}
    folders = [*filter(None, sys.path)]
    if CODE not in folders:  # found in the working directory, which the child does not search
        folders.insert(0, CODE)
    return found | {"PYTHONPATH": os.pathsep.join(folders)}
