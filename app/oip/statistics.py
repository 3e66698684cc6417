"""The statistics extension: the metrics of each model in the fields of Triton."""

from collections.abc import Iterable
from typing import Any

from app.model.model import Model
from app.oip.request import VERSION
from app.telemetry.metrics import Metrics


def model_statistics(metrics: Metrics, models: Iterable[Model]) -> dict[str, Any]:
    """Counts and nanoseconds by model, over all images since the start."""
    return {"model_stats": [_statistics(metrics, model.name) for model in models]}


def _statistics(metrics: Metrics, name: str) -> dict[str, Any]:
    totals = metrics.totals(name)
    times = {
        "queue": totals.queue_s,
        "compute_input": totals.decode_s,
        "compute_infer": totals.inference_s,
    }
    return {
        "name": name,
        "version": VERSION,
        "inference_count": totals.answered,
        "execution_count": totals.answered,
        "inference_stats": {
            "success": _duration(totals.answered, sum(times.values())),
            "fail": _duration(totals.failed, 0),
            **{stage: _duration(totals.answered, spent_s) for stage, spent_s in times.items()},
        },
    }


def _duration(count: int, spent_s: float) -> dict[str, int]:
    return {"count": count, "ns": round(spent_s * 1e9)}
