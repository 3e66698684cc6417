"""What the benchmark measures: which photos and bodies, how long, how often."""

from dataclasses import dataclass

from loadtest.load.body import FORMS
from loadtest.load.photos import SIZES
from loadtest.load.wrk import saturating

TARGET_PHOTO = "720p"
TARGET_FORM = "raw"
OPEN_LOOP_LOADS = (0.5, 0.8, 1.2)  # of the capacity


@dataclass(frozen=True, slots=True)
class Plan:
    """The number of rounds and the seconds of each kind of run; wrk takes whole seconds."""

    photos: tuple[str, ...]
    forms: tuple[str, ...]
    rounds: int  # with all photos, forms and numbers of connections
    target_rounds: int  # in addition, with the photo and the form of the targets
    closed_s: int
    bare_s: float
    open_s: float
    starts: int


FULL = Plan(
    tuple(SIZES),
    tuple(FORMS),
    rounds=3,
    target_rounds=3,
    closed_s=2,
    bare_s=1.5,
    open_s=6,
    starts=3,
)
# Rounds of one second scatter by a third, so the quick run repeats only what has a target.
QUICK = Plan(
    (TARGET_PHOTO,),
    (TARGET_FORM,),
    rounds=8,
    target_rounds=0,
    closed_s=1,
    bare_s=1,
    open_s=2,
    starts=1,
)


def connections(cores: int) -> tuple[int, ...]:
    """Return the numbers of connections of the closed loop, in ascending order."""
    return tuple(dict.fromkeys((1, cores, saturating(cores))))
