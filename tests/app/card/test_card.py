"""The model card: a contract, so that nothing in it may be missing, unknown or out of range."""

import copy
import json
from pathlib import Path as File
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


# As this project wrote them at those versions, but for labels and layers that were left out.
OLDER_CARDS = File(__file__).with_name("older_cards")
ADDED_4 = ("precision_origin", "channels", "head_activation", "background", "base_sha256")
ADDED = {1: ("quantization", "measured", *ADDED_4), 2: ("measured", *ADDED_4), 3: ADDED_4}
NEW = {"channels": 3, "head_activation": "softmax", "base_sha256": None}


def older_card(version: int, **changes: Any) -> dict[str, Any]:
    data = json.loads((OLDER_CARDS / f"version_{version}.json").read_text("utf-8"))
    assert data["card_version"] == version
    return {**data, **changes}


def upgraded(data: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(parse_card(json.dumps(data)).model_dump_json())
    return found


@pytest.mark.parametrize(
    ("version", "derived"),
    [
        pytest.param(
            1,
            {
                "precision_origin": "float_of_int8",
                "background": 0,
                "quantization": None,
                "measured": [],
            },
            id="float form of the publisher's integers, with a background class",
        ),
        pytest.param(
            2,
            {
                "precision_origin": "post_training_int8",
                "background": None,
                "quantization": {
                    "source": "mobilenet_v2_1.0_224",
                    "method": "equalized",
                    "calibration_images": 242,
                    "compared_images": 264,
                    "top1_agreement": 98.11,
                    "probability_difference": 0.01512,
                    "float_ms": 4.71,
                    "int8_ms": 2.58,
                    "device": "cpu (x86_64, with VNNI)",
                },
                "measured": [],
            },
            id="quantised here",
        ),
        pytest.param(
            3,
            {"precision_origin": "publisher_int8", "background": 0},
            id="the publisher's integers",
        ),
    ],
)
def test_a_card_of_an_older_version_is_still_read(version: int, derived: dict[str, Any]) -> None:
    older = older_card(version)
    assert upgraded(older) == {**older, **NEW, **derived, "card_version": 5}


def test_a_card_of_version_3_differs_from_the_newest_in_its_new_fields_alone() -> None:
    older = {key: value for key, value in JSON.items() if key not in ADDED_4}
    assert parse_card(json.dumps({**older, "card_version": 3})) == CARD


@pytest.mark.parametrize(
    ("kind", "name", "origin"),
    [
        pytest.param("published", "mobilenet_v1_0.25_128_qat", "float_of_int8", id="zoo"),
        pytest.param("published", "mobilenet_v1_0.25_128", "float", id="zoo-float"),
        pytest.param("imported", "door_qat", "float", id="named-by-its-owner"),
    ],
)
def test_only_published_models_of_old_were_marked_by_their_name(
    kind: str, name: str, origin: str
) -> None:
    older = older_card(1, name=name)
    older["origin"]["kind"] = kind
    assert upgraded(older)["precision_origin"] == origin


@pytest.mark.parametrize(
    ("version", "field"), [(version, field) for version in ADDED for field in ADDED[version]]
)
def test_a_card_of_an_older_version_has_no_newer_field(version: int, field: str) -> None:
    with pytest.raises(CardError, match="card_version"):
        parse_card(json.dumps(older_card(version, **{field: None})))


def test_a_report_of_an_older_version_has_no_newer_field() -> None:
    older = older_card(2)
    older["quantization"]["top1_agreement"] = 98.11
    with pytest.raises(CardError, match="card_version"):
        parse_card(json.dumps(older))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("cost", None),
        ("cost", {"layers": [{"weights": 1, "output_shape": []}]}),
        ("labels", 3),
        ("origin", "here"),
        ("name", 5),
        ("quantization", []),
    ],
)
def test_a_broken_card_of_an_older_version_is_refused_by_the_name_of_its_field(
    field: str, value: Any
) -> None:
    with pytest.raises(CardError, match=field):
        parse_card(json.dumps(older_card(3, **{field: value})))


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        pytest.param({"precision": "int8"}, "precision int8 cannot be float", id="origin"),
        pytest.param({"background": 1001}, "1001 is no index of logits", id="background"),
        pytest.param(
            {"quantization": upgraded(older_card(2))["quantization"]},
            "a float model has no quantization report",
            id="report",
        ),
    ],
)
def test_fields_that_contradict_each_other_are_refused(
    changes: dict[str, Any], reason: str
) -> None:
    with pytest.raises(CardError, match=reason):
        parse_card(json.dumps({**JSON, **changes}))


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


@pytest.mark.unmeasured
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
        pytest.param(("card_version",), 6, id="version"),
        pytest.param(("name",), "../../etc/passwd", id="name"),
        pytest.param(("name",), "x" * 101, id="long-name"),
        pytest.param(("family",), "resnet", id="family"),
        pytest.param(("alpha",), 0, id="alpha"),
        pytest.param(("resolution",), 0, id="resolution"),
        pytest.param(("precision",), "fp16", id="precision"),
        pytest.param(("precision_origin",), "qat", id="precision-origin"),
        pytest.param(("channels",), 4, id="channels"),
        pytest.param(("head_activation",), "relu", id="head-activation"),
        pytest.param(("background",), -1, id="background"),
        pytest.param(("base_sha256",), "b0353104", id="base"),
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
