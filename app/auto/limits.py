"""What a choice has to keep: the budget of a request for `model=auto`."""

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from app.card.variant import Variant

BYTES_PER_MB = 1_000_000


class Limits(BaseModel):
    """Limits on a variant; what is None limits nothing."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    max_latency_ms: float | None = Field(
        None,
        gt=0,
        description="With model=auto: from the body's arrival to the answer, the queue included.",
    )
    max_madds: int | None = Field(
        None, gt=0, description="With model=auto: multiply-adds for one image."
    )
    max_params: int | None = Field(None, gt=0, description="With model=auto: parameters.")
    max_memory_mb: float | None = Field(
        None, gt=0, description="With model=auto: megabytes of weights and activations."
    )
    min_top1: float | None = Field(
        None, ge=0, le=100, description="With model=auto: percent of top-1 accuracy."
    )

    def given(self) -> dict[str, float]:
        """The limits that limit something, by name."""
        values = ((name, getattr(self, name)) for name in LIMITS)
        return {name: value for name, value in values if value is not None}

    def over(self, defaults: "Limits") -> "Limits":
        """These limits, and those of `defaults` where there are none."""
        return Limits(**(defaults.given() | self.given())) if defaults.given() else self


LIMITS = tuple(Limits.model_fields)
STATIC = ("max_madds", "max_params", "max_memory_mb", "min_top1")  # what no load changes


def figure(name: str, variant: Variant) -> float:
    """What a static limit is compared with; accuracy that is not known counts as none."""
    match name:
        case "max_madds":
            return variant.madds
        case "max_params":
            return variant.params
        case "max_memory_mb":
            return variant.memory_bytes / BYTES_PER_MB
        case _:
            return variant.top1.percent if variant.top1 else 0.0


def keeps(name: str, value: float, variant: Variant) -> bool:
    """Whether a variant is within one static limit."""
    found = figure(name, variant)
    return found >= value if name.startswith("min") else found <= value


def parse_limits(text: str) -> Limits:
    """Limits as a setting has them: `max_latency_ms=30,min_top1=60`.

    Raises:
        ValueError: a name is unknown, given twice, or its value out of range.
    """
    values: dict[str, str] = {}
    for part in filter(None, map(str.strip, text.split(","))):
        name, found, value = map(str.strip, part.partition("="))
        if not found or name not in LIMITS:
            raise ValueError(f"{part!r} is none of {', '.join(f'{each}=...' for each in LIMITS)}")
        if name in values:
            raise ValueError(f"{name} is given twice")
        values[name] = value
    try:
        return Limits.model_validate(values)
    except ValidationError as error:
        [fault, *_] = error.errors()
        raise ValueError(f"{fault['loc'][0]}: {fault['msg']}") from None
