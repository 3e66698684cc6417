"""The docker client for the tools and tests of the image."""

import json
import subprocess
from typing import Any

TIMEOUT_S = 240  # far longer than any command here takes, even under emulation


class DockerError(RuntimeError):
    """A docker command failed; the text is its error output."""


def docker(*arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    """Run a docker command to its end.

    Raises:
        DockerError: the command failed and `check` is true.
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
    """Inspect a container or an image.

    Raises:
        DockerError: the name is unknown.
    """
    found: list[dict[str, Any]] = json.loads(docker("inspect", name).stdout)
    return found[0]
