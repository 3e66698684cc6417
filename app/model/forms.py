"""The forms of a model, float and INT8, and which of them answers requests that name no model.

INT8 answers where it does not saturate, is faster and as good. That depends on the CPU and on the
files only, so that it is the same after a restart. Their cards tell which files are forms of one
model: the INT8 form names the float model as the source of its quantization.
"""

from collections.abc import Sequence
from typing import NamedTuple

from app.card.card import ModelCard

DEFAULT_MODEL = "mobilenet_v2_1.0_224"
MIN_AGREEMENT = 95.0  # percent of images with the same top-1 class in both forms


class Default(NamedTuple):
    """The model for requests that name none, why it is that one, and its form that waits."""

    name: str
    reason: str
    other: str | None = None


def choose_default(
    cards: Sequence[ModelCard], wanted: str | None, int8_obstacle: str | None
) -> Default:
    """The default among these models, in the order of the store; at least one.

    `wanted` is the name that the settings require, "" for the first model, or None for the better
    form of `DEFAULT_MODEL`, or of the first model if that is not among them. `int8_obstacle` is the
    reason why INT8 is no choice on this machine.
    """
    by_name = {card.name: card for card in cards}
    first = cards[0].name
    if wanted is not None:
        if wanted in by_name:
            return Default(wanted, "default_model names it")
        missing = f"default_model names {wanted}, which is not loaded; " if wanted else ""
        return Default(first, f"{missing}this is the first model of the store")
    base = DEFAULT_MODEL
    if not any(base in (card.name, _source(card)) for card in cards):
        base = _source(cards[0]) or first
    whose = f"of {base}" if base == DEFAULT_MODEL else f"of {base}, the first model of the store"
    int8 = _int8_form(cards, base)
    if base not in by_name:
        assert int8 is not None  # noqa: S101  some card has the base as its name or its source
        return Default(int8.name, f"the only form {whose}")
    if int8 is None:
        return Default(base, f"the only form {whose}")
    found = int8_obstacle or _card_obstacle(by_name[base], int8)
    if found:
        return Default(base, f"the float form {whose}: {found}", int8.name)
    return Default(
        int8.name,
        f"the INT8 form {whose}: its kernels do not saturate and are faster on this machine, and "
        f"it agrees with the float form on {_agreement(int8):g} % of images",
        base,
    )


def _int8_form(cards: Sequence[ModelCard], base: str) -> ModelCard | None:
    """The INT8 form of a model; the one that agrees best if there are several."""
    forms = [card for card in cards if _source(card) == base]
    return max(forms, key=_agreement, default=None)


def _source(card: ModelCard) -> str | None:
    """The float model that a model was quantised from after training; None for a head on one."""
    return card.quantization.source if card.quantization and not card.base_sha256 else None


def _agreement(card: ModelCard) -> float:
    return card.quantization.top1_agreement if card.quantization else 0.0


def _card_obstacle(float_form: ModelCard, int8: ModelCard) -> str | None:
    """Why the INT8 form cannot stand for the float form, from their cards."""
    for name in ("labels", "resolution", "preprocessing", "channels", "head_activation"):
        if getattr(float_form, name) != getattr(int8, name):
            return f"{int8.name} has other {name.replace('_', ' ')}"
    if _agreement(int8) < MIN_AGREEMENT:
        return f"{int8.name} agrees with it on {_agreement(int8):g} % of images only"
    return None
