"""Errors of the docker client reach the caller; a script replaces the client."""

from pathlib import Path

import pytest

from container.docker import DockerError, docker, inspect


@pytest.fixture
def client(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A program named docker, first on the path, that knows one image."""
    path = tmp_path / "docker"
    path.write_text(
        "#!/bin/sh\n"
        'if [ "$2" = known ]; then echo \'[{"Size": 7}]\'; '
        'else echo "no such object: $2" >&2; exit 1; fi\n'
    )
    path.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    return path


@pytest.mark.usefixtures("client")
def test_what_the_engine_knows_of_an_image_is_read() -> None:
    assert inspect("known") == {"Size": 7}


@pytest.mark.usefixtures("client")
def test_a_command_that_fails_is_an_error_with_the_engines_text_unless_it_may() -> None:
    with pytest.raises(DockerError, match="docker inspect other: no such object: other"):
        inspect("other")
    assert docker("inspect", "other", check=False).returncode == 1
