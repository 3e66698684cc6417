"""The model card: a contract, so that nothing in it may be missing, unknown or out of range."""

import copy
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from app.card.card import Resolutions, parse_card
from app.errors import CardError
from tests.exports import random_recipe

CARD = random_recipe("mobilenet_v2", 0.35, 96).card("fp32")
JSON: dict[str, Any] = json.loads(CARD.model_dump_json())

Path = tuple[str | int, ...]


def objects(value: Any, path: Path = ()) -> list[Path]:
    """Where there are objects in JSON data; of equal ones in a list, the first."""
    if isinstance(value, dict):
        below = [found for key, inner in value.items() for found in objects(inner, (*path, key))]
        return [path, *below]
    if isinstance(value, list) and value:
        return objects(value[0], (*path, 0))
    return []


def at(value: Any, path: Path) -> Any:
    for part in path:
        value = value[part]
    return value


def fields() -> list[Path]:
    return [(*path, key) for path in objects(JSON) for key in at(JSON, path)]


def test_a_card_comes_back_from_its_json_as_it_was() -> None:
    assert parse_card(CARD.model_dump_json()) == CARD
    assert CARD.trained


NEWER = {1: ("quantization", "measured"), 2: ("measured",)}


@pytest.mark.parametrize("version", NEWER)
def test_a_card_of_an_older_version_is_still_read(version: int) -> None:
    older = {key: value for key, value in JSON.items() if key not in NEWER[version]}
    assert parse_card(json.dumps({**older, "card_version": version})) == CARD


@pytest.mark.parametrize("version", NEWER)
def test_a_card_of_an_older_version_has_no_newer_field(version: int) -> None:
    with pytest.raises(CardError, match="card_version"):
        parse_card(json.dumps({**JSON, "card_version": version}))


def test_random_weights_are_not_trained_ones() -> None:
    assert not random_recipe("mobilenet_v2", 0.35, 96, "untrained").card("fp32").trained


@settings(deadline=None)
@given(st.sampled_from(fields()))
def test_a_card_without_one_of_its_fields_is_refused_by_the_name_of_it(path: Path) -> None:
    data = copy.deepcopy(JSON)
    del at(data, path[:-1])[path[-1]]
    with pytest.raises(CardError) as caught:
        parse_card(json.dumps(data))
    assert ".".join(map(str, path)) in str(caught.value)


@settings(deadline=None)
@given(st.sampled_from(objects(JSON)), st.text(min_size=1, max_size=9))
def test_a_card_with_an_unknown_field_is_refused_by_the_name_of_it(path: Path, name: str) -> None:
    data = copy.deepcopy(JSON)
    at(data, path)[f"{name}!"] = 1
    with pytest.raises(CardError, match="card is not valid") as caught:
        parse_card(json.dumps(data))
    assert ".".join(map(str, (*path, f"{name}!"))) in str(caught.value)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        pytest.param(("card_version",), 4, id="version"),
        pytest.param(("name",), "../../etc/passwd", id="name"),
        pytest.param(("name",), "x" * 101, id="long-name"),
        pytest.param(("family",), "resnet", id="family"),
        pytest.param(("alpha",), 0, id="alpha"),
        pytest.param(("resolution",), 0, id="resolution"),
        pytest.param(("precision",), "fp16", id="precision"),
        pytest.param(("labels",), [], id="labels"),
        pytest.param(("preprocessing", "crop_fraction"), 1.5, id="crop"),
        pytest.param(("preprocessing", "resize"), "squash", id="resize"),
        pytest.param(("accuracy", "top1"), 101, id="accuracy"),
        pytest.param(("origin", "files"), [{"name": "a", "sha256": "b"}], id="hash"),
        pytest.param(("cost", "madds"), -1, id="negative-cost"),
        pytest.param(("cost", "layers", 0, "kernel"), [3], id="kernel"),
    ],
)
def test_a_field_that_is_out_of_range_is_refused_by_its_name(path: Path, value: Any) -> None:
    data = copy.deepcopy(JSON)
    at(data, path[:-1])[path[-1]] = value
    with pytest.raises(CardError, match=rf"{'.'.join(map(str, path))}"):
        parse_card(json.dumps(data))


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '"card"'])
def test_text_that_is_no_card_is_refused(text: str) -> None:
    with pytest.raises(CardError, match="model card is not valid: card: "):
        parse_card(text)


def test_a_card_cannot_be_changed() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        CARD.name = "other"  # type: ignore[misc]  # frozen: that is the test


@settings(deadline=None)
@given(st.integers(1, 300), st.integers(0, 300), st.integers(1, 64), st.integers(-10, 700))
def test_the_accepted_resolutions_are_those_of_a_range(
    minimum: int, more: int, step: int, resolution: int
) -> None:
    accepted = Resolutions(minimum=minimum, maximum=minimum + more, step=step)
    assert (resolution in accepted) == (resolution in range(minimum, minimum + more + 1, step))
    if more:
        assert str(accepted) == f"{minimum} to {minimum + more} in steps of {step}"
    else:
        assert str(accepted) == f"{minimum} only"
