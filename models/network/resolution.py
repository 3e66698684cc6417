"""Which widths and input sizes the family is defined for."""

from math import inf

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


def check_alpha(alpha: float) -> None:
    """Refuse a width multiplier that is not above 0 and finite.

    Raises:
        ValueError: alpha is 0 or below, infinite or not a number.
    """
    if not 0 < alpha < inf:
        raise ValueError(f"alpha is {alpha:g}; it has to be above 0 and finite")
