"""Variants with figures that a test can reason about."""

from app.card.accuracy import Top1
from app.card.variant import Variant


def variant(
    name: str,
    top1: float | None = 50.0,
    madds: int = 100,
    *,
    resolution: int = 224,
    params: int = 10,
    memory_bytes: int = 1000,
) -> Variant:
    known = None if top1 is None else Top1(top1, "published", "a test")
    return Variant(
        name, "mobilenet_v2", resolution, "fp32", known, params, madds, 1000, memory_bytes
    )
