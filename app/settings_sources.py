"""The settings of a process, from the command line, the environment and the TOML file."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from app.environment import CONFIG_VARIABLE, nearest, reject_unknown, variable
from app.errors import SettingError
from app.settings import SECRET, Settings
from app.settings_file import read_tables


def load_settings(given: Mapping[str, Any] | None = None) -> Settings:
    """Combine the command line, the environment and the TOML file.

    Raises:
        SettingError: something is unknown or out of range; the text names each.
    """
    reject_unknown(os.environ, Settings.model_fields)
    config = os.environ.get(CONFIG_VARIABLE)
    if config and not Path(config).is_file():
        raise SettingError(f"{CONFIG_VARIABLE} names {config}, which is not a file.")
    try:
        settings = Settings(**(given or {}))
        return settings.with_tables(read_tables(Path(config))) if config else settings
    except ValidationError as error:
        faults = error.errors(include_url=False, include_context=False)
        raise SettingError("; ".join(_describe(dict(fault)) for fault in faults)) from error
    except OSError as error:  # it names the file that a setting names, or that of the settings
        raise SettingError(f"Cannot read {error.filename or config}: {error.strerror}.") from error
    except ValueError as error:  # not TOML
        raise SettingError(f"{config}: {error}") from error


def _describe(fault: Mapping[str, Any]) -> str:
    """Name the setting, its variable, its value unless that is secret, and the error."""
    if not fault["loc"]:
        return str(fault["msg"]).removeprefix("Value error, ")
    name = str(fault["loc"][0])
    if fault["type"] == "extra_forbidden":
        known = {field: field for field in Settings.model_fields}
        return f"Unknown setting {name}. {nearest(name.lower(), known)}"
    value = "" if name in SECRET else f" is {str(fault['input'])!r}"
    return f"{name} ({variable(name)}){value}: {str(fault['msg']).removeprefix('Value error, ')}"
