"""The recorded answers of torch (see `record_torch.py`, which needs torch; this does not)."""

import json
from collections.abc import Iterable
from pathlib import Path

from tests.models.fidelity.answers import Answer, pairs
from tests.models.fidelity.inputs import Input

RECORD = Path(__file__).with_name("torch_mobilenet_v2.json")


def recorded_answers(inputs: Iterable[Input]) -> list[tuple[Input, Answer]]:
    """Each input with what torch said to it.

    Raises:
        LookupError: an input is not the one that was recorded; the text has the remedy.
    """
    records = json.loads(RECORD.read_text("utf-8"))["answers"]
    return pairs(inputs, records, RECORD, "record_torch.py")
