"""Heads that are taught over HTTP: what the gateway knows of them, as values."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from mobilenet_gateway_client._errors import Problem, UnreadableImage, to_problem
from mobilenet_gateway_client._results import known_fields


@dataclass(frozen=True, slots=True)
class Example:
    """A labelled image that a head is taught with.

    `duplicate` tells of an added image that it had this label already. `error` is set if an image
    of several was not kept; `id` and `created` are empty then.
    """

    label: str
    id: str = ""
    created: str = ""
    duplicate: bool = False
    error: Problem | UnreadableImage | None = None

    @classmethod
    def parse(cls, sent: Mapping[str, Any]) -> Self:
        return cls(sent["label"], sent["id"], sent["created"], bool(sent.get("duplicate")))


@dataclass(frozen=True, slots=True)
class TrainingReport:
    """What a training found out, on photos that were held out; shares are 0 to 1.

    accuracy      share that is right, with its 95 % `interval`; None where nothing can be held out
    false_alarm   share that is `unknown`
    details       all that the gateway says: confusion matrix, worst photos, near-duplicates
    """

    base: str
    labels: tuple[str, ...]
    photos: int
    accuracy: float | None
    interval: tuple[float, float] | None
    calibration_error: float | None
    false_alarm: float | None
    warnings: tuple[str, ...]
    seconds: float
    details: Mapping[str, Any] = field(repr=False)

    @classmethod
    def parse(cls, sent: Mapping[str, Any]) -> Self:
        """From the answer of /heads/NAME/train."""
        return cls(**known_fields(cls, {**sent, "details": sent}))


@dataclass(frozen=True, slots=True)
class TaughtHead:
    """A head that is taught over HTTP.

    `labels` has the number of examples of each, `bytes` what they take on the gateway's disk.
    `outdated`: the examples changed since the training. `heads()` leaves out `examples` and
    `report`.
    """

    name: str
    base: str
    labels: Mapping[str, int]
    bytes: int
    taught: bool
    outdated: bool
    training: bool
    taught_at: str | None
    examples: tuple[Example, ...]
    report: TrainingReport | None

    @classmethod
    def parse(cls, sent: Mapping[str, Any]) -> Self:
        """From the answer of /heads/NAME, or an entry of /heads."""
        examples = tuple(Example.parse(one) for one in sent.get("examples", ()))
        report = TrainingReport.parse(sent["report"]) if sent.get("report") else None
        return cls(**known_fields(cls, {**sent, "examples": examples, "report": report}))


def to_examples(sent: Mapping[str, Any], label: str) -> list[Example]:
    """What became of each added image, in order."""
    return [
        Example(label, error=to_problem(row["error"])) if "error" in row else Example.parse(row)
        for row in sent["examples"]
    ]
