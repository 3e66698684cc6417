"""The TOML file of the settings, and the tables in it that are more than a value."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic_settings import TomlConfigSettingsSource

# `app.cameras` validates them. Neither variables nor options can set them.
TABLES = ("cameras", "events", "mqtt")


class SettingsFile(TomlConfigSettingsSource):
    """The file without its tables."""

    def _read_file(self, file_path: Any) -> dict[str, Any]:
        found = super()._read_file(file_path)
        return {name: value for name, value in found.items() if name not in TABLES}


def read_tables(file: Path) -> Mapping[str, Any]:
    """The tables of a file.

    Raises:
        OSError: it cannot be read.
        ValueError: it is not TOML.
    """
    import tomllib  # only where there is a file

    found = tomllib.loads(file.read_text("utf-8"))
    return {name: found[name] for name in TABLES if name in found}
