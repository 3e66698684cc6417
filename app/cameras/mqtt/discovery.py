"""Home Assistant's discovery: one device for the gateway, with entities for each camera.

Device-based discovery, which Home Assistant has since 2024.11: one retained message describes the
device and all its entities.
https://www.home-assistant.io/integrations/mqtt/#device-discovery-payload
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from app import __version__
from app.cameras.mqtt.topics import OFFLINE, ONLINE, Topics

NAME = "mobilenet-gateway"
BINARY_SENSORS = 20  # labels up to which each has one: a head's, but not ImageNet's 1000
LABEL = "{{ value_json.label[:255] if value_json.label is not none else none }}"
IS = "is_"  # begins the keys of entities that are one label each
IS_LABEL = "{{ 'ON' if value_json.label == %s else 'OFF' }}"
PERCENT = (
    "{{ (value_json.probability * 100) | round(1) "
    "if value_json.probability is not none else none }}"
)


@dataclass(frozen=True, slots=True)
class Described:
    """A camera as Home Assistant shall see it."""

    name: str
    labels: tuple[str, ...] | None  # None while its model is not known


def configuration_topic(prefix: str, topics: Topics) -> str:
    """Where Home Assistant looks for the configuration."""
    return f"{prefix}/device/{topics.device_id}/config"


def configuration(
    topics: Topics, device_name: str, cameras: Iterable[Described], frames: bool
) -> dict[str, Any]:
    """The device with its entities; `components` by the last part of their unique ids."""
    components: dict[str, dict[str, Any]] = {}
    for camera in cameras:
        for key, component in _components(topics, camera, frames).items():
            components[_key(camera.name, key)] = component
    for key, component in components.items():
        component["unique_id"] = f"{topics.device_id}_{key}"
    return {
        "device": {
            "identifiers": [topics.device_id],
            "name": device_name,
            "manufacturer": NAME,
            "model": "Image classification",
            "sw_version": __version__,
        },
        "origin": {"name": NAME, "sw_version": __version__},
        "components": components,
    }


def encode(content: Mapping[str, Any]) -> bytes:
    """A configuration as its message."""
    return json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")


def removal(old: bytes, new: Mapping[str, Any], cameras: Iterable[Described]) -> bytes | None:
    """The new configuration with what removes the rest of an old one; None if nothing is left.

    Home Assistant removes an entity whose component has nothing but its platform. Those come first:
    it stops reading at a component that it is still working on. Entities of labels stay while the
    labels are not known, as Home Assistant would forget how its user has named them.
    """
    unknown = tuple(_key(each.name, IS) for each in cameras if each.labels is None)
    try:
        gone = {
            key: {"platform": component["platform"]}
            for key, component in json.loads(old)["components"].items()
            if key not in new["components"] and not key.startswith(unknown)
        }
    except (ValueError, TypeError, KeyError, AttributeError):  # not a configuration of ours
        return None
    return encode({**new, "components": {**gone, **new["components"]}}) if gone else None


def _key(camera: str, entity: str) -> str:
    """The key of an entity among all of the device."""
    return f"{camera}_{entity}"


def _components(topics: Topics, camera: Described, frames: bool) -> dict[str, dict[str, Any]]:
    """The entities of one camera."""
    title = camera.name.replace("_", " ").replace("-", " ").capitalize()
    state = topics.state(camera.name)
    gateway = {"topic": topics.status}
    both = {
        "availability": [gateway, {"topic": topics.availability(camera.name)}],
        "availability_mode": "all",
    }
    found: dict[str, dict[str, Any]] = {
        "label": {
            "platform": "sensor",
            "name": f"{title} label",
            "state_topic": state,
            "value_template": LABEL,
            "json_attributes_topic": state,
            "icon": "mdi:tag",
            **both,
        },
        "probability": {
            "platform": "sensor",
            "name": f"{title} probability",
            "state_topic": state,
            "value_template": PERCENT,
            "unit_of_measurement": "%",
            "state_class": "measurement",
            "entity_category": "diagnostic",
            **both,
        },
        "event": {
            "platform": "event",
            "name": f"{title} event",
            "state_topic": topics.event(camera.name),
            "event_types": ["start", "end"],
            **both,
        },
        "connected": {
            "platform": "binary_sensor",
            "name": f"{title} connected",
            "device_class": "connectivity",
            "state_topic": topics.availability(camera.name),
            "payload_on": ONLINE.decode(),
            "payload_off": OFFLINE.decode(),
            "entity_category": "diagnostic",
            "availability": [gateway],
        },
    }
    if frames:
        found["frame"] = {
            "platform": "image",
            "name": f"{title} frame",
            "image_topic": topics.frame(camera.name),
            "content_type": "image/jpeg",
            **both,
        }
    if camera.labels and len(camera.labels) <= BINARY_SENSORS:
        for label in camera.labels:
            # A digest, because labels may have any characters and any length.
            found[IS + sha256(label.encode("utf-8", "replace")).hexdigest()[:12]] = {
                "platform": "binary_sensor",
                "name": f"{title} {label}",
                "state_topic": state,
                "value_template": IS_LABEL % _quoted(label),
                **both,
            }
    return found


def _quoted(text: str) -> str:
    """A text as a literal of a Jinja template, whatever it holds."""
    return json.dumps(text, ensure_ascii=False).replace("{", "\\x7b").replace("}", "\\x7d")
