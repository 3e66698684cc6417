"""Which widths and input sizes the family is defined for."""

MINIMUM, MAXIMUM, STEP = 96, 512, 32
ALL = range(MINIMUM, MAXIMUM + 1, STEP)


def check_resolution(resolution: int) -> None:
    """Five halvings need multiples of 32; below 96 too little is left to look at.

    Raises:
        ValueError: not a multiple of 32 from 96 to 512.
    """
    if resolution not in ALL:
        raise ValueError(
            f"resolution is {resolution}; it has to be a multiple of {STEP} "
            f"from {MINIMUM} to {MAXIMUM}"
        )


def check_alpha(alpha: float, maximum: float = float("inf")) -> None:
    """Refuse a width multiplier that is not above 0 and at most `maximum`.

    Raises:
        ValueError: alpha is outside its range, or not a number.
    """
    if not 0 < alpha <= maximum:
        limit = "above 0" if maximum == float("inf") else f"above 0 and at most {maximum:g}"
        raise ValueError(f"alpha is {alpha:g}; it has to be {limit}")
