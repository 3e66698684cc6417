"""The settings as people see them: in the docs, in the help and in `/info`."""

from typing import Any

from app.environment import variable
from app.settings import SECRET, Settings
from app.system.data_folder import SHOWN as SHOWN_STORE


def public_settings(settings: Settings) -> dict[str, Any]:
    """Settings as `/info` shows them: secrets only as present or absent."""
    values = settings.model_dump(mode="json")
    for name in SECRET:
        values[name] = "set" if getattr(settings, name) else "not set"
    return values


def settings_table() -> str:
    """The table of settings in docs/settings.md, in Markdown."""
    rows = ["| setting | environment variable | default | description |", "|---|---|---|---|"]
    for name, field in Settings.model_fields.items():
        default = shown_default(name)
        shown = default if " " in default else f"`{default}`" if default else "none"
        rows.append(f"| `{name}` | `{variable(name)}` | {shown} | {field.description} |")
    return "\n".join(rows)


def shown_default(name: str) -> str:
    """A default as a user would type it; empty if there is none."""
    if name == "store":  # it depends on the place
        return SHOWN_STORE
    value = Settings.model_fields[name].default
    if value in (None, ()):
        return ""
    if isinstance(value, tuple):
        value = ",".join(map(str, value))
    return str(value).lower() if isinstance(value, bool) else str(value)
