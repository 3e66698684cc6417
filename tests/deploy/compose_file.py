"""The services of the compose file with variables put in, as far as no Compose is needed."""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import ROOT

VARIABLE = re.compile(r"\$\{(\w+):-([^}]*)\}")


def read_variables(path: Path) -> dict[str, str]:
    """What an env file sets."""
    lines = path.read_text("utf-8").splitlines()
    return dict(line.split("=", 1) for line in lines if "=" in line and line[0] != "#")


def services(variables: Mapping[str, str]) -> dict[str, dict[str, Any]]:
    """Every service by its name; a variable that is not set, or empty, gives its default."""
    yaml = pytest.importorskip("yaml", reason="needs PyYAML, of the development requirements")
    read = yaml.safe_load((ROOT / "docker-compose.yml").read_text("utf-8"))["services"]
    # JSON keeps a text that becomes empty, as Compose does; YAML would have null there.
    filled = VARIABLE.sub(lambda found: variables.get(found[1]) or found[2], json.dumps(read))
    found: dict[str, dict[str, Any]] = json.loads(filled)
    return found


def environment(service: Mapping[str, Any]) -> dict[str, str]:
    """The variables that a service's process sees."""
    return dict(service["environment"])
