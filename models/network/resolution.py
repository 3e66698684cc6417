"""The widths and resolutions that the family supports."""

from math import inf

MINIMUM, MAXIMUM, STEP = 96, 512, 32
RESOLUTIONS = range(MINIMUM, MAXIMUM + 1, STEP)


def check_resolution(resolution: int) -> None:
    """Check a resolution: five halvings need a multiple of 32, and below 96 the
    last feature map is smaller than 3x3.

    Raises:
        ValueError: not a multiple of 32 from 96 to 512.
    """
    if resolution not in RESOLUTIONS:
        raise ValueError(
            f"Resolution is {resolution}; it must be a multiple of {STEP} "
            f"from {MINIMUM} to {MAXIMUM}."
        )


def check_alpha(alpha: float) -> None:
    """Check that a width multiplier is above 0 and finite.

    Raises:
        ValueError: alpha is 0 or below, infinite or not a number.
    """
    if not 0 < alpha < inf:
        raise ValueError(f"Alpha is {alpha:g}; it must be greater than 0 and finite.")
