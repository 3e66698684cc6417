"""What the gateway announces to Home Assistant, checked by Home Assistant's own code.

`HOME_ASSISTANT` names a Python that has the package homeassistant, which needs versions of its own.
"""

import json
import os
import subprocess
from pathlib import Path

from app.cameras.mqtt.discovery import Described, configuration, encode, removal
from app.cameras.mqtt.topics import Topics

PARSER = Path(__file__).with_name("home_assistant.py")
VARIABLE = "HOME_ASSISTANT"
LABELS = (
    "open", "shut", "unknown", "q\"uo'te", "{{ 7*7 }}", "{% raw %}", "}}", "{#c#}", "%s",
    "back\\slash", "new\nline", "\x07bell", "Tür", "a" * 300,
)  # fmt: skip


def payloads() -> list[str]:
    """Configurations of two gateways' worth of cameras, and what removes entities."""
    topics = Topics("barn/gateway")
    cameras = [
        Described("gate", LABELS),
        Described("yard-2", None),
        Described("x_y", tuple(map(str, range(1000)))),
    ]
    fewer = [Described("gate", LABELS[:1])]
    full = configuration(topics, "Barn", cameras, frames=True)
    small = configuration(topics, "Barn", fewer, frames=False)
    gone = removal(encode(full), small, fewer) or b""
    return [encode(full).decode(), encode(small).decode(), gone.decode()]


def templates(payload: str) -> list[tuple[str, str, str]]:
    """Templates of the first camera, states, and what Home Assistant must make of them."""
    found = []
    components = json.loads(payload)["components"].values()
    of = {one["name"]: one["value_template"] for one in components if "value_template" in one}
    for label in LABELS:
        for seen in (*LABELS, None):
            state = json.dumps({"label": seen}, ensure_ascii=False)
            found.append((of[f"Gate {label}"], state, "ON" if seen == label else "OFF"))
        state = json.dumps({"label": label}, ensure_ascii=False)
        found.append((of["Gate label"], state, label[:255].strip()))
    found.append((of["Gate label"], '{"label": null}', "None"))
    found.append((of["Gate probability"], '{"probability": 0.93217}', "93.2"))
    found.append((of["Gate probability"], '{"probability": null}', "None"))
    return found


def main() -> None:
    """Exit status 1 if Home Assistant does not accept something."""
    python = os.environ.get(VARIABLE)
    if not python:
        print(f"skipped: {VARIABLE} does not name a Python with the package homeassistant")
        return
    announced = payloads()
    given = json.dumps({"payloads": announced, "templates": templates(announced[0])})
    run = subprocess.run([python, str(PARSER)], input=given, text=True, check=False)
    raise SystemExit(run.returncode)


if __name__ == "__main__":
    main()
