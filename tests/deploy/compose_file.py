"""The services of the compose file with variables substituted, without Compose."""

import json
import re
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import ROOT

VARIABLE = re.compile(r"\$\{(\w+):-([^}]*)\}")


def read_variables(path: Path) -> dict[str, str]:
    """The variables of an env file."""
    lines = path.read_text("utf-8").splitlines()
    return dict(line.split("=", 1) for line in lines if "=" in line and line[0] != "#")


def services(variables: Mapping[str, str]) -> dict[str, dict[str, Any]]:
    """Every service by name; an unset or empty variable gives its default."""
    # JSON keeps a text that becomes empty, like Compose; YAML would make it null.
    filled = VARIABLE.sub(lambda found: variables.get(found[1]) or found[2], _as_json())
    found: dict[str, dict[str, Any]] = json.loads(filled)
    return found


@cache
def _as_json() -> str:
    yaml = pytest.importorskip("yaml", reason="needs PyYAML, of the development requirements")
    return json.dumps(yaml.safe_load((ROOT / "docker-compose.yml").read_text("utf-8"))["services"])


def environment(service: Mapping[str, Any]) -> dict[str, str]:
    """The environment variables of a service."""
    return dict(service["environment"])


def gateways() -> Iterator[tuple[str, dict[str, Any]]]:
    """Each service of this project with its defaults, and with the variables of each board."""
    boards = {path.stem: read_variables(path) for path in ROOT.glob("deploy/*.env")}
    for board, variables in {"": {}, **boards}.items():
        for name, service in services(variables).items():
            chosen = variables.get("COMPOSE_PROFILES", name)
            if "models:/models" in service.get("volumes", ()) and name == chosen:
                yield f"compose {board or name}", service
