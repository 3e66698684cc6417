"""The classification of a file as a row of a table."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from mobilenet_gateway_client._results import Classification

TIMES = ("queue_ms", "decode_ms", "inference_ms")


@dataclass(frozen=True, slots=True)
class Row:
    """The classification of a file, which is named by its path below the folder."""

    file: str
    classification: Classification

    @property
    def failed(self) -> bool:
        return self.classification.error is not None

    def nested(self) -> dict[str, Any]:
        """With predictions as a list; has either `predictions` or `error`."""
        found = self.classification
        if error := found.error:
            return {"file": self.file, "error": {"type": error.type, "detail": error.detail}}
        return {
            "file": self.file,
            **{name: getattr(found, name) for name in ("model", "resolution", *TIMES)},
            **({"warnings": list(found.warnings)} if found.warnings else {}),
            "predictions": [asdict(one) for one in found.predictions],
        }


def flatten(nested: Mapping[str, Any]) -> dict[str, Any]:
    """With columns for each rank; leaves out those that do not apply."""
    flat = {key: value for key, value in nested.items() if key not in ("predictions", "error")}
    if error := nested.get("error"):
        flat |= {"error": error["type"], "error_detail": error["detail"]}
    if warnings := nested.get("warnings"):
        flat["warnings"] = " ".join(warnings)
    for rank, prediction in enumerate(nested.get("predictions", ()), start=1):
        flat |= {f"{key}_{rank}": value for key, value in prediction.items()}
    return flat


def columns(top_k: int) -> list[str]:
    ranks = [
        f"{key}_{rank}"
        for rank in range(1, top_k + 1)
        for key in ("class_id", "label", "probability")
    ]
    return ["file", "error", "error_detail", "model", "resolution", *TIMES, "warnings", *ranks]
