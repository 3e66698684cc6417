"""From the labels of frames to events."""

from typing import Any

import pytest

from app.cameras.label_rule import Change, LabelRule, Observation, RuleSettings

CAT, DOG = "cat", "dog"


def rule(**changed: Any) -> LabelRule:
    settings: dict[str, Any] = {
        "start_probability": 0.6, "end_probability": 0.4, "in_a_row": 3, "minimum_s": 0,
        "cool_down_s": 0,
    }  # fmt: skip
    return LabelRule(RuleSettings(**(settings | changed)))


def seen(label: str, probability: float, of_present: float = 0.0) -> Observation:
    return Observation(label, probability, of_present)


def told(changes: list[Change]) -> list[tuple[str, str]]:
    return [(change.state, change.label) for change in changes]


def test_a_label_starts_after_so_many_frames_in_a_row_and_not_before() -> None:
    door = rule()
    assert door.observe(seen(CAT, 0.7), 1) == []
    assert door.undecided
    assert door.observe(seen(CAT, 0.8), 2) == []
    [start] = door.observe(seen(CAT, 0.9), 3)
    assert (start.state, start.label, start.started_at, start.at) == ("start", CAT, 1, 3)
    assert start.probability == pytest.approx(0.8)
    assert door.present == start
    assert door.observe(seen(CAT, 0.9, 0.9), 4) == []
    assert not door.undecided


@pytest.mark.parametrize("between", [seen(DOG, 0.9), seen(CAT, 0.59)])
def test_another_frame_between_starts_the_count_again(between: Observation) -> None:
    door = rule(in_a_row=2)
    assert door.observe(seen(CAT, 0.9), 1) == []
    assert door.observe(between, 2) == []
    assert door.observe(seen(CAT, 0.9), 3) == []
    assert told(door.observe(seen(CAT, 0.9), 4)) == [("start", CAT)]


def test_a_label_ends_only_below_the_lower_probability_for_so_many_frames() -> None:
    door = rule(in_a_row=2)
    door.observe(seen(CAT, 0.9), 1)
    door.observe(seen(CAT, 0.9), 2)
    for at in range(3, 9):  # neither sure nor gone
        assert door.observe(seen(DOG, 0.5, 0.45), at) == []
    assert door.observe(seen(DOG, 0.5, 0.39), 9) == []
    assert door.undecided
    assert door.observe(seen(CAT, 0.4, 0.4), 10) == []
    assert door.observe(seen(DOG, 0.5, 0.39), 11) == []
    [end] = door.observe(seen(DOG, 0.5, 0.0), 12)
    assert (end.state, end.label, end.started_at, end.at) == ("end", CAT, 1, 12)
    assert end.probability == pytest.approx(0.9)
    assert door.present is None


def test_another_label_ends_the_present_one() -> None:
    door = rule(in_a_row=1, end_probability=0)
    assert told(door.observe(seen(CAT, 0.9), 1)) == [("start", CAT)]
    assert told(door.observe(seen(DOG, 0.9, 0.05), 2)) == [("end", CAT), ("start", DOG)]


def test_a_label_must_last_before_it_starts_also_while_nothing_changes() -> None:
    door = rule(in_a_row=2, minimum_s=10)
    door.observe(seen(CAT, 0.9), 100)
    assert door.observe(seen(CAT, 0.9), 101) == []
    assert not door.undecided
    assert door.wait(109.9) == []
    assert told(door.wait(110)) == [("start", CAT)]
    brief = rule(in_a_row=1, minimum_s=10)
    brief.observe(seen(CAT, 0.9), 100)
    brief.observe(seen(DOG, 0.1), 105)
    assert brief.wait(200) == []


def test_a_label_cannot_start_again_while_it_cools_down_but_others_can() -> None:
    door = rule(in_a_row=1, cool_down_s=30)
    door.observe(seen(CAT, 0.9), 0)
    assert told(door.observe(seen("none", 0.1, 0.1), 10)) == [("end", CAT)]
    assert door.observe(seen(CAT, 0.9), 39.9) == []
    assert told(door.wait(40)) == [("start", CAT)]
    assert told(door.observe(seen(DOG, 0.9, 0.0), 41)) == [("end", CAT), ("start", DOG)]


def test_only_the_wanted_labels_start_and_unknown_can_be_one() -> None:
    door = rule(in_a_row=1, labels=frozenset({"unknown"}))
    assert door.observe(seen(CAT, 0.9), 1) == []
    assert told(door.observe(seen("unknown", 0.9), 2)) == [("start", "unknown")]
    assert told(door.observe(seen(CAT, 0.9, 0.1), 3)) == [("end", "unknown")]


def test_ended_labels_do_not_add_up() -> None:
    door = rule(in_a_row=1, cool_down_s=5)
    for at in range(1000):
        door.observe(seen(f"label {at}", 0.9), at)
    assert len(door._ended_at) <= 6
