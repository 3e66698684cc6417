"""What a mistyped name was probably meant to be."""

from collections.abc import Iterable
from functools import lru_cache

from app.errors import UnknownModel

MAX_LENGTH = 200  # comparing takes time with the product of both lengths
SIMILARITY = 0.8  # so that mobilenet_v3 is not called a typing error of mobilenet_v2_0.35_96


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """`did you mean NAME?`, or an empty text if no known name is near."""
    near = near_name(name, tuple(known)) if len(name) <= MAX_LENGTH else None
    return f"did you mean {near}?" if near else ""


@lru_cache(256)  # a client repeats its mistake with every request
def near_name(name: str, known: tuple[str, ...], similarity: float = SIMILARITY) -> str | None:
    """The most similar of the known names, case aside; None if all differ much."""
    from difflib import get_close_matches  # only for mistakes

    written = {one.lower(): one for one in known}
    near = get_close_matches(name.lower(), written, 1, similarity)
    return written[near[0]] if near else None


def unknown_model(name: str, known: Iterable[str], kind: str = "Loaded models") -> UnknownModel:
    """The error for the name of no model: names the nearest model, and all that are known."""
    names = list(known)
    hint = did_you_mean(name, names)
    hint = f" {hint[:1].upper()}{hint[1:]}" if hint else ""
    return UnknownModel(f"Unknown model {name!r}.{hint} {kind}: {', '.join(names)}.")
