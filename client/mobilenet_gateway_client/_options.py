"""What to ask of the gateway for each image."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypedDict


class OptionArguments(TypedDict, total=False):
    """`Options` as keyword arguments."""

    model: str | None
    resolution: int | None
    top_k: int | None
    deadline_ms: float | None
    budget: Mapping[str, float] | None
    embedding: bool
    explain: bool


@dataclass(frozen=True, slots=True)
class Options:
    """Parameters of a classification; the gateway decides where one is None.

    `budget` has limits for `model="auto"`, such as `{"max_latency_ms": 20}`. With `embedding`, each
    classification has its embedding; with `explain`, its explanation with an overlay.
    """

    model: str | None = None
    resolution: int | None = None
    top_k: int | None = None
    deadline_ms: float | None = None
    budget: Mapping[str, float] = field(default_factory=dict)
    embedding: bool = False
    explain: bool = False

    def query(self) -> dict[str, str]:
        named = {
            "model": self.model,
            "resolution": self.resolution,
            "top_k": self.top_k,
            "embedding": "true" if self.embedding else None,
            "explain": "cam" if self.explain else None,
            "overlay": "true" if self.explain else None,
        }
        given = {name: value for name, value in named.items() if value is not None}
        return {name: str(value) for name, value in {**given, **self.budget}.items()}

    def headers(self) -> dict[str, str]:
        return {} if self.deadline_ms is None else {"X-Deadline-Ms": f"{self.deadline_ms:g}"}
