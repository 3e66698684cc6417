"""Accuracy at a resolution: what is published, and what lies between."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.accuracy import table_top1, top1
from models.zoo import zoo
from tests.exports import random_recipe


def zoo_top1(name: str, resolution: int) -> tuple[float, str] | None:
    entry = zoo()[name]
    found = top1(entry.recipe.card(entry.precision), resolution)
    return (found.percent, found.basis) if found else None


@pytest.mark.parametrize("name", [name for name, entry in zoo().items() if entry.recipe.accuracy])
def test_where_it_was_trained_a_model_has_its_own_published_accuracy(name: str) -> None:
    recipe = zoo()[name].recipe
    assert recipe.accuracy is not None
    assert zoo_top1(name, recipe.resolution) == (recipe.accuracy.top1, "published")


@pytest.mark.parametrize(
    ("name", "resolution", "percent"),
    [
        # slim: 71.8 at 224, 68.8 at 160; torchvision's weights have 71.878 at 224.
        ("mobilenet_v2_1.0_224", 160, 68.88),
        # Hosted models, quantised: 66.1 at 192, 55.9 at 128.
        ("mobilenet_v1_0.75_192_int8", 128, 55.9),
    ],
)
def test_below_it_loses_what_the_table_of_its_family_loses(
    name: str, resolution: int, percent: float
) -> None:
    assert zoo_top1(name, resolution) == (percent, "interpolated")


def test_weights_trained_for_quantisation_get_the_figures_of_quantised_ones() -> None:
    assert zoo_top1("mobilenet_v1_1.0_224_qat", 224) == (70.0, "interpolated")


def test_above_it_gains_nothing() -> None:
    assert zoo_top1("mobilenet_v1_0.25_128", 224) == (41.4, "interpolated")


def test_below_the_table_nothing_is_known() -> None:
    assert zoo_top1("mobilenet_v1_0.25_128", 96) is None


def test_weights_trained_above_the_table_are_known_only_as_trained() -> None:
    assert zoo_top1("mobilenet_v1_1.0_256_timm", 256) == (76.088, "published")
    assert zoo_top1("mobilenet_v1_1.0_256_timm", 224) is None


def test_untrained_weights_have_no_accuracy() -> None:
    assert top1(random_recipe("mobilenet_v2", 1.0, 224, "untrained").card("fp32"), 224) is None


def test_a_width_outside_the_table_has_none() -> None:
    assert table_top1("mobilenet_v2", "fp32", 0.1, 224) is None
    assert table_top1("other", "fp32", 1.0, 224) is None


@given(st.floats(0.35, 1.0), st.sampled_from(range(96, 225, 32)))
def test_between_published_widths_accuracy_lies_between_theirs(alpha: float, side: int) -> None:
    found = table_top1("mobilenet_v2", "fp32", alpha, side)
    least, most = (table_top1("mobilenet_v2", "fp32", end, side) for end in (0.35, 1.0))
    assert found is not None
    assert least is not None
    assert most is not None
    assert least.percent <= found.percent <= most.percent


def test_resolutions_between_two_published_ones_lie_between_their_accuracies() -> None:
    found = table_top1("mobilenet_v1", "fp32", 1.0, 176)
    assert found is not None
    assert 68.0 < found.percent < 69.9
