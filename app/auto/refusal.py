"""Why no loaded variant keeps a budget, and what would be possible instead."""

from collections.abc import Mapping, Sequence

from app.auto.limits import figure, keeps
from app.card.variant import Variant


def explain(
    variants: Sequence[Variant], limits: Mapping[str, float], resolution: int | None
) -> str:
    """One sentence on static limits that nothing keeps together.

    For each limit: how far it would have to move if all others stand.
    """
    if not variants:
        return (
            "of no loaded model the accuracy is known, so nothing can be chosen: name a model, or "
            "let `mobilenet-gateway models evaluate --write` measure them"
        )
    at_side = [each for each in variants if resolution in (None, each.resolution)]
    if not at_side:
        sides = sorted({variant.resolution for variant in variants})
        return f"no variant is offered at resolution={resolution}; there are {_join(sides)}"
    ways = []
    for name in limits:
        others = {other: value for other, value in limits.items() if other != name}
        possible = [each for each in at_side if _keeps_all(each, others)]
        if possible:
            best = _best(name, possible)
            ways.append(f"{name}={figure(name, best):.10g} ({best.name})")
    asked = " and ".join(f"{name}={value:.10g}" for name, value in limits.items())
    if not ways:
        singles = [_best(name, at_side) for name in limits]
        ends = [
            f"{name} {figure(name, best):.10g}" for name, best in zip(limits, singles, strict=True)
        ]
        return f"no loaded variant keeps {asked}; the best for each alone are {', '.join(ends)}"
    return f"no loaded variant keeps {asked}; possible would be {' or '.join(ways)}"


def _keeps_all(variant: Variant, limits: Mapping[str, float]) -> bool:
    return all(keeps(name, value, variant) for name, value in limits.items())


def _best(name: str, variants: Sequence[Variant]) -> Variant:
    """The variant that asks least of a limit."""
    sign = -1 if name.startswith("min") else 1
    return min(variants, key=lambda variant: sign * figure(name, variant))


def _join(values: Sequence[int]) -> str:
    return ", ".join(map(str, values))
