"""The image under test: `make image-test` names it; without it these tests are skipped."""

import os
import shutil
from collections.abc import Callable

import pytest

from container.docker import docker

FIGURES = pytest.StashKey[list[str]]()


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """Print the measurements before pytest's own summary."""
    if figures := config.stash.get(FIGURES, []):
        terminalreporter.section("figures")
        for line in figures:
            terminalreporter.line(line)


@pytest.fixture(scope="session")
def figure(pytestconfig: pytest.Config) -> Callable[[str], None]:
    """A function that adds a line to print at the end."""
    return pytestconfig.stash.setdefault(FIGURES, []).append


def named_image(variable: str) -> str:
    name = os.environ.get(variable, "")
    if not name:
        pytest.skip(f"needs an image, named by {variable}: `make image-test` builds and names it")
    if not shutil.which("docker") or docker("image", "inspect", name, check=False).returncode:
        pytest.fail(f"{variable} names {name}, which docker does not have")
    return name


@pytest.fixture(scope="session")
def image() -> str:
    """The image for this machine's architecture."""
    return named_image("TEST_IMAGE")


@pytest.fixture(scope="session")
def arm64_image() -> str:
    """The same for linux/arm64, which runs under emulation."""
    return named_image("TEST_IMAGE_ARM64")
