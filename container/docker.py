"""The container engine's client, as the tools and the tests of the image use it."""

import json
import subprocess
from typing import Any

TIMEOUT_S = 240  # far more than any command here takes, under emulation too


class DockerError(RuntimeError):
    """The engine refused a command; the text has its own."""


def docker(*arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    """Run the engine's client to its end.

    Raises:
        DockerError: it failed, and `check` is true.
    """
    command = ["docker", *arguments]
    run = subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )
    if check and run.returncode:
        raise DockerError(f"{' '.join(command)}: {run.stderr.strip()}")
    return run


def inspect(name: str) -> dict[str, Any]:
    """What the engine knows of a container or an image.

    Raises:
        DockerError: it has none of that name.
    """
    found: list[dict[str, Any]] = json.loads(docker("inspect", name).stdout)
    return found[0]
