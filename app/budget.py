"""A budget: the latency and memory limits that `model=auto` must meet."""

from pydantic import BaseModel, Field, ValidationError


class Budget(BaseModel, extra="forbid", frozen=True, allow_inf_nan=False):
    """Budget on the chosen model and resolution; None means no limit."""

    max_latency_ms: float | None = Field(
        None,
        gt=0,
        description="With model=auto: maximum time from the end of the body to the answer, "
        "including the queue.",
    )
    max_madds: int | None = Field(
        None, gt=0, description="With model=auto: maximum multiply-adds for one image."
    )
    max_params: int | None = Field(
        None, gt=0, description="With model=auto: maximum number of parameters."
    )
    max_memory_mb: float | None = Field(
        None, gt=0, description="With model=auto: maximum megabytes of weights and activations."
    )
    min_top1: float | None = Field(
        None, ge=0, le=100, description="With model=auto: minimum top-1 accuracy in percent."
    )

    @property
    def is_limited(self) -> bool:
        """Whether any limit is set."""
        return not self.model_fields_set.isdisjoint(LIMITS)

    def limits(self) -> dict[str, float]:
        """The limits that are set, by name."""
        values = ((name, getattr(self, name)) for name in LIMITS)
        return {name: value for name, value in values if value is not None}

    def or_else(self, defaults: "Budget") -> "Budget":
        """These limits, and those of `defaults` where none is set here."""
        if not defaults.is_limited:
            return self
        return Budget.model_validate(defaults.limits() | self.limits())


LIMITS = tuple(Budget.model_fields)


def parse_budget(text: str) -> Budget:
    """Parse a budget as settings spell it: `max_latency_ms=30,min_top1=60`.

    Raises:
        ValueError: a name is unknown or given twice, or a value is out of range.
    """
    values: dict[str, str] = {}
    for part in filter(None, map(str.strip, text.split(","))):
        name, equals, value = map(str.strip, part.partition("="))
        if not equals or name not in LIMITS:
            known = ", ".join(f"{each}=..." for each in LIMITS)
            raise ValueError(f"unknown limit {part!r}; known limits: {known}")
        if name in values:
            raise ValueError(f"{name} is given twice")
        values[name] = value
    try:
        return Budget.model_validate(values)
    except ValidationError as error:
        [fault, *_] = error.errors()
        raise ValueError(f"{fault['loc'][0]}: {fault['msg']}") from None
