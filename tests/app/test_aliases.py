"""Other names of models."""

import pytest

from app.aliases import check_aliases, parse_aliases
from app.errors import SettingError


@pytest.mark.parametrize(
    ("text", "aliases"),
    [
        ("", {}),
        ("camera", {"camera": ""}),
        ("gate=m", {"gate": "m"}),
        (" gate = m , camera,", {"gate": "m", "camera": ""}),
        ("a=m,b=m", {"a": "m", "b": "m"}),
    ],
)
def test_aliases_are_a_list_of_names_and_models(text: str, aliases: dict[str, str]) -> None:
    assert parse_aliases(text) == aliases


@pytest.mark.parametrize("text", ["=m", "gate=", "gate=m,gate=n", "gate,gate", "="])
def test_what_is_no_list_of_aliases_is_an_error(text: str) -> None:
    with pytest.raises(ValueError, match=r"is not ALIAS=MODEL|given twice"):
        parse_aliases(text)


@pytest.mark.parametrize(
    ("aliases", "reason"),
    [
        ({"m": ""}, "m is the name of a model"),
        ({"m": "n"}, "m is the name of a model"),
        ({"auto": ""}, "auto is reserved"),
        ({"gate": "mobilenet"}, "which is not loaded. Did you mean mobilenets?"),
        ({"gate": "x"}, "which is not loaded. Loaded models: m, mobilenets."),
        ({"gate": "camera", "camera": ""}, "camera, which is not loaded"),  # no chains
    ],
)
def test_an_alias_leads_to_a_model_and_hides_none(aliases: dict[str, str], reason: str) -> None:
    with pytest.raises(SettingError, match=reason):
        check_aliases(aliases, ["m", "mobilenets"], ["auto"])


def test_good_aliases_pass() -> None:
    check_aliases({"gate": "m", "camera": ""}, ["m"], ["auto"])
