"""What Home Assistant is told. Its own schemas (2026.2.3) and templates accept it."""

import json

from app.cameras.mqtt.discovery import Described, configuration, encode, removal
from app.cameras.mqtt.topics import Topics

TOPICS = Topics("barn/gateway")


def test_each_camera_has_its_entities_on_the_device_of_the_gateway() -> None:
    found = configuration(TOPICS, "Barn", [Described("gate", ("open", "shut"))], frames=True)
    assert found["device"]["identifiers"] == ["barn_gateway"]
    assert found["device"]["name"] == "Barn"
    entities = {each["name"]: each["platform"] for each in found["components"].values()}
    assert entities == {
        "Gate label": "sensor",
        "Gate probability": "sensor",
        "Gate event": "event",
        "Gate connected": "binary_sensor",
        "Gate frame": "image",
        "Gate open": "binary_sensor",
        "Gate shut": "binary_sensor",
    }
    ids = [each["unique_id"] for each in found["components"].values()]
    assert len(set(ids)) == len(ids)
    assert found["components"]["gate_label"]["state_topic"] == "barn/gateway/gate/state"
    assert found["components"]["gate_label"]["availability"] == [
        {"topic": "barn/gateway/status"},
        {"topic": "barn/gateway/gate/availability"},
    ]


def test_a_thousand_labels_make_no_thousand_entities() -> None:
    labels = tuple(f"class {number}" for number in range(1000))
    found = configuration(TOPICS, "Barn", [Described("gate", labels)], frames=False)
    assert set(found["components"]) == {
        "gate_label", "gate_probability", "gate_event", "gate_connected"
    }  # fmt: skip


def test_what_is_gone_is_removed_and_what_is_not_known_stays() -> None:
    both = [Described("gate", ("open",)), Described("yard", ("cat",))]
    old = encode(configuration(TOPICS, "Barn", both, frames=True))
    new = configuration(TOPICS, "Barn", both[:1], frames=True)
    sent = removal(old, new, both[:1])
    assert sent is not None
    components = json.loads(sent)["components"]
    gone = {key: each for key, each in components.items() if set(each) == {"platform"}}
    assert [each["platform"] for each in gone.values()] == [
        "sensor", "sensor", "event", "binary_sensor", "image", "binary_sensor"
    ]  # fmt: skip
    assert all(key.startswith("yard_") for key in gone)
    assert list(components)[: len(gone)] == list(gone)  # first, as Home Assistant wants it

    untaught = [Described("gate", None), both[1]]
    assert removal(old, configuration(TOPICS, "Barn", untaught, frames=True), untaught) is None
    assert removal(b"no JSON", new, both[:1]) is None
    assert removal(b'{"components": [1]}', new, both[:1]) is None
