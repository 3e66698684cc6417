"""The limits of a budget that do not depend on the load, and why no variant meets them."""

from collections.abc import Callable, Mapping, Sequence

from app.card.variant import Variant

BYTES_PER_MB = 1_000_000
FIGURES: dict[str, Callable[[Variant], float]] = {
    "max_madds": lambda variant: variant.madds,
    "max_params": lambda variant: variant.params,
    "max_memory_mb": lambda variant: variant.memory_bytes / BYTES_PER_MB,
    "min_top1": lambda variant: variant.top1.percent if variant.top1 else 0.0,
}
STATIC = tuple(FIGURES)


def figure(name: str, variant: Variant) -> float:
    """The figure that a static limit is compared with; unknown accuracy counts as 0."""
    return FIGURES[name](variant)


def meets(name: str, value: float, variant: Variant) -> bool:
    found = figure(name, variant)
    return found >= value if name.startswith("min") else found <= value


def meets_all(limits: Mapping[str, float], variant: Variant) -> bool:
    return all(meets(name, value, variant) for name, value in limits.items())


def explain(
    variants: Sequence[Variant], limits: Mapping[str, float], resolution: int | None
) -> str:
    """Explain why no variant meets all of these static limits.

    For each limit, name the value that makes the budget possible if all others stay.
    """
    if not variants:
        return (
            "No loaded model with the classes of the default model has a known accuracy, so auto "
            "cannot choose. Name a model, or measure them with `mobilenet-gateway models evaluate "
            "--write`."
        )
    at_resolution = [each for each in variants if resolution in (None, each.resolution)]
    if not at_resolution:
        known = ", ".join(map(str, sorted({variant.resolution for variant in variants})))
        return f"No variant has resolution={resolution}. Available resolutions: {known}."
    wanted = " and ".join(f"{name}={value:.10g}" for name, value in limits.items())
    changes = []
    for name in limits:
        others = {other: value for other, value in limits.items() if other != name}
        possible = [each for each in at_resolution if meets_all(others, each)]
        if possible:
            best = _closest(name, possible)
            changes.append(f"{name}={figure(name, best):.10g} ({best.name})")
    if changes:
        return f"No loaded variant meets {wanted}. Possible: {' or '.join(changes)}."
    best_alone = ", ".join(
        f"{name}={figure(name, _closest(name, at_resolution)):.10g}" for name in limits
    )
    return f"No loaded variant meets {wanted}. The best for each limit alone: {best_alone}."


def _closest(name: str, variants: Sequence[Variant]) -> Variant:
    """The variant that comes closest to a limit, or meets it by the widest margin."""
    sign = -1 if name.startswith("min") else 1
    return min(variants, key=lambda variant: sign * figure(name, variant))
