"""Other names of models, such as the one that KServe gives its InferenceService."""

from collections.abc import Collection, Mapping

from app.errors import SettingError
from app.suggestion import near_name

DEFAULT = ""  # the target of an alias of the default model, whichever that is


def parse_aliases(text: str) -> dict[str, str]:
    """Read `gate=mobilenet_v2_1.0_224,camera`: models by alias; without `=`, the default model.

    Raises:
        ValueError: an alias is empty or given twice.
    """
    aliases: dict[str, str] = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        alias, equals, target = (piece.strip() for piece in part.partition("="))
        if not alias or (equals and not target):
            raise ValueError(f"{part!r} is not ALIAS=MODEL or ALIAS")
        if alias in aliases:
            raise ValueError(f"{alias!r} is given twice")
        aliases[alias] = target
    return aliases


def check_aliases(
    aliases: Mapping[str, str], models: Collection[str], reserved: Collection[str]
) -> None:
    """Check at the start that each alias leads to a model and hides none.

    Raises:
        SettingError: the text names the alias.
    """
    for alias, target in aliases.items():
        if alias in models or alias in reserved:
            kind = "the name of a model" if alias in models else "reserved"
            raise SettingError(f"aliases: {alias} is {kind}. Choose another alias.")
        if target != DEFAULT and target not in models:
            near = near_name(target, tuple(models), 0.6)
            hint = f"Did you mean {near}?" if near else f"Loaded models: {', '.join(models)}."
            raise SettingError(f"aliases: {alias} leads to {target}, which is not loaded. {hint}")
