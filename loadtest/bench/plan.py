"""How long and how often everything is measured."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Plan:
    """Rounds, and seconds of each kind of run; wrk takes whole seconds."""

    rounds: int  # of all photos, forms and numbers of connections
    headline_rounds: int  # more, of only what the promises are about
    closed_s: int
    bare_s: float
    open_s: float
    starts: int


FULL = Plan(rounds=3, headline_rounds=3, closed_s=2, bare_s=1.5, open_s=6, starts=3)
QUICK = Plan(rounds=1, headline_rounds=0, closed_s=1, bare_s=1, open_s=2, starts=1)

LOADS = (0.5, 0.8, 1.2)  # of the capacity, in the open loop
HEADLINE_PHOTO = "720p"
HEADLINE_FORM = "raw"
FEW, MANY = 1, 4  # connections: one, one a core, four a core


def connections(cores: int) -> tuple[int, ...]:
    return tuple(dict.fromkeys((FEW, cores, MANY * cores)))
