"""Home Assistant's own schemas and templates, applied to what stdin holds as JSON.

Run by a Python that has the package homeassistant; imports nothing of this project.
`python -m loadtest.cameras.discovery` makes the input.
"""

import asyncio
import json
import sys
from importlib import import_module
from tempfile import TemporaryDirectory
from typing import Any

PLATFORMS = ("sensor", "image", "event", "binary_sensor")


async def check(payloads: list[str], templates: list[list[str]]) -> None:
    """Fail with what Home Assistant does not accept."""
    core: Any = import_module("homeassistant.core")
    discovery: Any = import_module("homeassistant.components.mqtt.discovery")
    template: Any = import_module("homeassistant.helpers.template")
    schemas = {
        name: import_module(f"homeassistant.components.mqtt.{name}").DISCOVERY_SCHEMA
        for name in PLATFORMS
    }
    with TemporaryDirectory() as folder:
        hass = core.HomeAssistant(folder)
        valid = 0
        for payload in payloads:
            parsed = discovery._parse_device_payload(hass, payload, "x", None)
            if not parsed:
                raise SystemExit(f"Home Assistant rejects {payload}")
            for component in parsed["components"].values():
                schema = schemas[component.pop("platform")]
                if component:  # without anything else it removes an entity
                    schema({**component, "device": parsed["device"], "origin": parsed["origin"]})
                    valid += 1
        for text, state, wanted in templates:
            found = template.Template(text, hass).async_render_with_possible_json_value(
                state, error_value="error", variables={}, parse_result=False
            )
            if str(found) != wanted:
                raise SystemExit(f"{text} makes {found!r} of {state}, not {wanted!r}")
        version = import_module("homeassistant.const").__version__
        print(f"Home Assistant {version}: {valid} entities, {len(templates)} templates accepted")
        await hass.async_stop(force=True)


if __name__ == "__main__":
    given = json.load(sys.stdin)
    asyncio.run(check(given["payloads"], given["templates"]))
