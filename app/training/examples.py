"""Examples of /heads in the API reference; the figures are those of a small head."""

from typing import Any

from app.request.examples import MODEL, NOT_AN_IMAGE

EXAMPLE: dict[str, Any] = {
    "id": "18b2f0e3a1c45d70",
    "label": "open",
    "created": "2026-11-30T14:00:00Z",
}
ADDED_EXAMPLES: dict[str, Any] = {
    "examples": [EXAMPLE | {"duplicate": False}, {"error": NOT_AN_IMAGE.model_dump()}]
}
HEAD_SUMMARY: dict[str, Any] = {
    "name": "gate",
    "base": MODEL,
    "labels": {"closed": 12, "open": 12},
    "bytes": 4182304,
    "taught": True,
    "outdated": False,
    "training": False,
    "taught_at": "2026-11-30T14:05:00Z",
}
HEAD_LIST: dict[str, Any] = {"heads": [HEAD_SUMMARY]}
REPORT: dict[str, Any] = {
    "base": MODEL,
    "forms": [{"base": MODEL, "accuracy": 0.9583}],
    "labels": ["closed", "open"],
    "classes": [
        {"label": "closed", "photos": 12, "recall": 0.9167, "rejected_when_left_out": 0.5833},
        {"label": "open", "photos": 12, "recall": 1.0, "rejected_when_left_out": 0.6667},
    ],
    "photos": 24,
    "views": 4,
    "folds": 10,
    "strength": 0.01,
    "temperature": 0.6687,
    "accuracy": 0.9583,
    "interval": [0.7976, 0.9926],
    "confusion": [[11, 1], [0, 12]],
    "calibration_error": 0.0612,
    "worst": [
        {
            "file": "18b2f0e3a1c45d71",
            "label": "closed",
            "predicted": "open",
            "probability": 0.8342,
        }
    ],
    "near_duplicates": [["18b2f0e3a1c45d72", "18b2f0e3a1c45d73"]],
    "skipped": [],
    "false_alarm": 0.05,
    "warnings": [],
    "seconds": 0.21,
    "version": 1,
}
# The first of 24 examples.
HEAD_DETAIL: dict[str, Any] = HEAD_SUMMARY | {"examples": [EXAMPLE], "report": REPORT}
