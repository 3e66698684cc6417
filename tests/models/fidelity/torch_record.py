"""The recorded answers of torch (see `record_torch.py`, which needs torch; this does not)."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tests.models.fidelity.inputs import Input

RECORD = Path(__file__).with_name("torch_mobilenet_v2.json")


@dataclass(frozen=True, slots=True)
class Answer:
    """First classes of 1000 with their probabilities, both [20] and best first, and the rest."""

    sha256: str
    class_ids: NDArray[np.int64]
    probabilities: NDArray[np.float64]
    rest: float

    def largest_difference(self, probabilities: NDArray[np.float32]) -> float:
        """How far probabilities [1000] are from the recorded ones, the rest's sum among them."""
        ours = probabilities.astype(np.float64)
        rest = ours.sum() - ours[self.class_ids].sum()
        apart = np.abs(ours[self.class_ids] - self.probabilities).max()
        return max(float(apart), abs(float(rest) - self.rest))


def answer_of(record: dict[str, Any]) -> Answer:
    """One answer as it stands in a file."""
    class_ids, probabilities = np.array(record["class_ids"]), np.array(record["probabilities"])
    return Answer(record["sha256"], class_ids, probabilities, record["rest"])


def recorded_answers(inputs: Iterable[Input]) -> list[tuple[Input, Answer]]:
    """Each input with what torch said to it.

    Raises:
        LookupError: an input is not the one that was recorded; the text has the remedy.
    """
    records = json.loads(RECORD.read_text("utf-8"))["answers"]
    return pairs(inputs, records, RECORD, "record_torch.py")


def pairs(
    inputs: Iterable[Input], records: Iterable[dict[str, Any]], file: Path, script: str
) -> list[tuple[Input, Answer]]:
    """Each input with its record among `records` of `file`, which `script` has written.

    Raises:
        LookupError: an input is not the one that was recorded; the text has the remedy.
    """
    answers = {record["name"]: answer_of(record) for record in records}
    found = []
    for given in inputs:
        answer = answers.get(given.name)
        if answer is None or answer.sha256 != given.sha256:
            raise LookupError(
                f"the pixels of {given.name} are not those of {file.name}: this machine decodes "
                "the photo differently, or it is another one. Record again as the docstring of "
                f"tests/models/fidelity/{script} says."
            )
        found.append((given, answer))
    return found
