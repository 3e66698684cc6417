"""Accuracy at a resolution: what is published, and what lies between."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.card.accuracy import Top1, table_top1, top1
from app.card.card import Measurement, ModelCard
from models.zoo.zoo import zoo
from tests.exports import random_recipe


def zoo_top1(name: str, resolution: int) -> tuple[float, str] | None:
    entry = zoo()[name]
    found = top1(entry.recipe.card(entry.precision), resolution)
    return (found.percent, found.basis) if found else None


@pytest.mark.unmeasured
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
        # Hosted models, quantised: 55.9 at 128; this is their float form.
        ("mobilenet_v1_0.75_192_qat", 128, 55.9),
    ],
)
def test_below_it_loses_what_the_table_of_its_family_loses(
    name: str, resolution: int, percent: float
) -> None:
    assert zoo_top1(name, resolution) == (percent, "interpolated")


@pytest.mark.parametrize(
    "name",
    [name for name, entry in zoo().items() if entry.precision == "int8" and not entry.int8_recipe],
)
def test_of_an_int8_model_nothing_is_known_but_at_the_resolution_of_its_ranges(name: str) -> None:
    """The publisher's V2 at 96 pixels was right on 3 of 16 photos; the table says 59.3 %."""
    card = zoo()[name].recipe.card("int8")
    known = [side for side in (96, 128, 160, 192, 224) if top1(card, side)]
    assert known == [card.resolution]


def test_what_was_quantised_here_has_no_accuracy_until_it_is_measured() -> None:
    entry = zoo()["mobilenet_v1_0.25_128"]
    card = entry.recipe.card("fp32").model_copy(
        update={"name": "mobilenet_v1_0.25_128_ptq", "precision": "int8", "accuracy": None}
    )
    assert [top1(card, side) for side in (96, 128)] == [None, None]
    known = Measurement(resolution=96, top1=37.5, top5=60, images=16, photos="mine")
    written = card.model_copy(update={"measured": (known,)})
    assert top1(written, 96) == Top1(37.5, "measured", "measured on 16 photos of mine")
    assert top1(written, 128) is None


@pytest.mark.parametrize(
    ("origin", "percent"),
    [("float", 69.9 + 41.4 - 49.7), ("float_of_int8", 39.5 + 69.9 - 48.2)],
)
def test_a_model_has_the_same_accuracy_whatever_its_name(origin: str, percent: float) -> None:
    known = Measurement(resolution=224, top1=69.9, top5=90, images=40, photos="doors")
    card = dict(zoo()["mobilenet_v1_0.25_224"].recipe.card("fp32")) | {
        "precision_origin": origin,
        "measured": (known,),
    }
    found = [
        top1(ModelCard.model_validate({**card, "name": name}), 128)
        for name in ("door_camera", "door_qat", "door_int8")
    ]
    assert found[0] is not None
    assert found[0].percent == pytest.approx(percent)
    assert found == [found[0]] * 3


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


def measured(name: str, **top1_by_side: float) -> ModelCard:
    """A card of the zoo with measurements at `at_224=`."""
    entry = zoo()[name]
    figures = [
        {"resolution": int(side[3:]), "top1": top1, "top5": 99, "images": 40, "photos": "mine"}
        for side, top1 in top1_by_side.items()
    ]
    card = dict(entry.recipe.card(entry.precision)) | {"measured": figures}
    return ModelCard.model_validate(card)


def test_what_was_measured_goes_before_what_was_published() -> None:
    card = measured("mobilenet_v2_1.0_224", at_224=90.0, at_128=80.0)
    assert card.accuracy is not None
    assert top1(card, 224) == Top1(90.0, "measured", "measured on 40 photos of mine")
    assert top1(card, 128) == Top1(80.0, "measured", "measured on 40 photos of mine")


@pytest.mark.parametrize(
    ("resolution", "percent"),
    [
        (160, 90 + 68.8 - 71.8),  # slim: 71.8 at 224, 70.7 at 192, 68.8 at 160, 65.3 at 128
        (256, 90.0),
    ],
)
def test_other_resolutions_follow_from_what_was_measured(resolution: int, percent: float) -> None:
    found = top1(measured("mobilenet_v2_1.0_224", at_224=90.0), resolution)
    assert found is not None
    assert found.percent == pytest.approx(percent)
    assert found.basis == "interpolated"


def test_the_nearest_measurement_is_what_others_follow_from() -> None:
    """A figure that was published is of other photos: it never stands beside a measured one."""
    found = top1(measured("mobilenet_v2_1.0_224", at_160=50.0, at_96=10.0), 224)
    assert found is not None
    assert found.percent == pytest.approx(50 + 71.8 - 68.8)
    assert found.basis == "interpolated"


def test_of_imported_weights_nothing_is_known_that_nobody_measured() -> None:
    card = random_recipe("mobilenet_v2", 1.0, 224).card("fp32")
    origin = card.origin.model_copy(update={"kind": "imported"})
    own = card.model_copy(update={"origin": origin, "accuracy": None})
    assert (top1(own, 224), top1(own, 128)) == (None, None)
    known = Measurement(resolution=224, top1=97.5, top5=100, images=40, photos="mine")
    found = top1(own.model_copy(update={"measured": (known,)}), 224)
    assert found is not None
    assert (found.percent, found.basis) == (97.5, "measured")


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
