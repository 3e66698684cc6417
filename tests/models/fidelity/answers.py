"""What a framework answered, as the records beside this module keep it."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tests.models.fidelity.inputs import Input

TOP = 20


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


def record_of(given: Input, probabilities: NDArray[np.float32]) -> dict[str, Any]:
    """Name and hash of an input, its first classes, their probabilities, the sum of the others."""
    first = np.argsort(-probabilities, kind="stable")[:TOP]
    return {
        "name": given.name,
        "sha256": given.sha256,
        "class_ids": first.tolist(),
        "probabilities": [float(f"{value:.8g}") for value in probabilities[first]],
        "rest": float(f"{1 - probabilities[first].sum(dtype=np.float64):.6g}"),
    }


def answer_of(record: dict[str, Any]) -> Answer:
    """One answer as `record_of` made it."""
    class_ids, probabilities = np.array(record["class_ids"]), np.array(record["probabilities"])
    return Answer(record["sha256"], class_ids, probabilities, record["rest"])


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
