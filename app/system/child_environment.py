"""The environment of a child process of the service: without secrets, with the same code."""

import os
import sys

PASSED_ON = ("PYTHON", "LD_", "LC_", "LANG", "MALLOC_", "OPENBLAS_", "COVERAGE_", "PATH", "TZ")


def child_environment() -> dict[str, str]:
    """Variables that Python needs, and none of the service's settings, such as its keys."""
    found = {name: text for name, text in os.environ.items() if name.startswith(PASSED_ON)}
    return found | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
