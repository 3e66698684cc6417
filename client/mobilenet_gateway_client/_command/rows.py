"""The classification of a file as a row of a table."""

from array import array
from base64 import b64decode, b64encode
from collections.abc import Mapping
from dataclasses import dataclass
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
        """With predictions as a list, or an embedding in base64, or `error` instead."""
        found = self.classification
        if error := found.error:
            return {"file": self.file, "error": {"type": error.type, "detail": error.detail}}
        if found.embedding is not None:
            return {
                "file": self.file,
                "model": found.model,
                "resolution": found.resolution,
                "embedding": b64encode(found.embedding).decode(),
            }
        return {
            "file": self.file,
            **{name: getattr(found, name) for name in ("model", "resolution", *TIMES)},
            **({"warnings": list(found.warnings)} if found.warnings else {}),
            "predictions": [
                {"class_id": one.class_id, "label": one.label, "probability": one.probability}
                for one in found.predictions
            ],
        }


def flatten(nested: Mapping[str, Any]) -> dict[str, Any]:
    """With columns for each rank; leaves out those that do not apply."""
    flat = {key: value for key, value in nested.items() if key not in ("predictions", "error")}
    if error := nested.get("error"):
        flat |= {"error": error["type"], "error_detail": error["detail"]}
    if warnings := nested.get("warnings"):
        flat["warnings"] = " ".join(warnings)
    if embedding := nested.get("embedding"):
        flat["embedding"] = array("f", b64decode(embedding)).tolist()
    for rank, prediction in enumerate(nested.get("predictions", ()), start=1):
        flat |= {f"{key}_{rank}": value for key, value in prediction.items()}
    return flat


EMBEDDING_COLUMNS = ["file", "error", "error_detail", "model", "resolution", "embedding"]


def columns(top_k: int) -> list[str]:
    ranks = [
        f"{key}_{rank}"
        for rank in range(1, top_k + 1)
        for key in ("class_id", "label", "probability")
    ]
    return ["file", "error", "error_detail", "model", "resolution", *TIMES, "warnings", *ranks]
