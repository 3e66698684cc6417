"""The recorded answers of timm and torchvision (see `record_timm.py`, which needs both)."""

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from tests.models.fidelity.answers import Answer, answer_of

RECORD = Path(__file__).with_name("timm.json")


@dataclass(frozen=True, slots=True)
class NetworkRecord:
    """What a library said of one of its networks, and of each input by name."""

    name: str
    params: int
    names_sha256: str
    answers: dict[str, Answer]


@cache
def recorded_networks() -> dict[str, NetworkRecord]:
    """Every recorded network by the name that its library gives it."""
    records = json.loads(RECORD.read_text())["networks"]
    return {
        record["name"]: NetworkRecord(
            record["name"],
            record["params"],
            record["names_sha256"],
            {answer["name"]: answer_of(answer) for answer in record["answers"]},
        )
        for record in records
    }
