"""The environment variables of the settings: their names, and those that are none."""

from collections.abc import Iterable, Mapping

from app.errors import SettingError
from app.suggestion import near_name
from app.system.service_links import without_service_links

PREFIX = "GATEWAY_"
CONFIG_VARIABLE = f"{PREFIX}CONFIG"
BUILD_VARIABLES = {f"{PREFIX}WEIGHTS"}  # read by the commands that prepare models


def variable(name: str) -> str:
    return PREFIX + name.upper()


def reject_unknown(environ: Mapping[str, str], settings: Iterable[str]) -> None:
    """Reject variables with the prefix that are not settings; pydantic ignores them.

    Raises:
        SettingError: a variable has the prefix and is not known; the text suggests one.
    """
    variables = [*map(variable, settings), CONFIG_VARIABLE, *BUILD_VARIABLES]
    known = {name.removeprefix(PREFIX).lower(): name for name in variables}
    for name in sorted(without_service_links(environ)):
        if name.upper().startswith(PREFIX) and name not in variables:
            hint = nearest(name[len(PREFIX) :].lower(), known)
            raise SettingError(f"Unknown setting {name}. {hint}")


def nearest(name: str, known: Mapping[str, str]) -> str:
    """Suggest one of `known`: names in lower case without prefix, and how they are written."""
    if near := near_name(name, tuple(known), 0.6):
        return f"Did you mean {known[near]}?"
    return f"Known settings: {', '.join(known.values())}."
