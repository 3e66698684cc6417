"""Which images are kept."""

from dataclasses import replace

import numpy as np
import pytest

from app.arrays import Float32Array
from app.capture.rule import CaptureRule
from app.inference.head_group import group_of
from app.model.model import load_model
from app.model.reloadable_store import ReloadableStore
from app.model.store_folder import Selection
from tests.app.heads.made import write_head
from tests.conftest import SMALL_V2
from tests.exports import export_random

RULE = CaptureRule(below=0.5, unknown=True, audit_rate=0)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> ReloadableStore:
    """A base with two heads, whose classes are closed, open and unknown."""
    folder = tmp_path_factory.mktemp("store")
    base = export_random(folder)
    for seed, name in enumerate(("gate", "porch")):
        write_head(base, name, seed)
    return ReloadableStore(Selection(folder), load_model)


def scores(*values: float) -> Float32Array:
    return np.array(values, np.float32)


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        (scores(0.5, 0.4, 0.1), None),
        (scores(0.49, 0.41, 0.1), "uncertain"),
        (scores(0.1, 0.1, 0.8), "unknown"),
        (scores(0.3, 0.3, 0.4), "unknown"),
    ],
)
def test_a_head_s_image_is_kept_if_it_is_uncertain_or_unknown(
    store: ReloadableStore, values: Float32Array, reason: str | None
) -> None:
    finding = RULE.apply(store.get("gate"), values)
    assert (finding and finding.reason) == reason
    if finding:
        assert (finding.model.name, finding.probabilities is values) == ("gate", True)


def test_each_reason_can_be_switched_off(store: ReloadableStore) -> None:
    gate = store.get("gate")
    unknown, uncertain = scores(0.1, 0.2, 0.7), scores(0.4, 0.4, 0.2)
    assert replace(RULE, unknown=False).apply(gate, unknown) is None
    assert replace(RULE, below=0).apply(gate, uncertain) is None
    audited = replace(RULE, below=0, audit_rate=1).apply(gate, uncertain)
    assert audited is not None
    assert audited.reason == "audit"


def test_the_audit_rate_is_the_share_of_the_other_images(store: ReloadableStore) -> None:
    rule = replace(RULE, audit_rate=0.1)
    sure = scores(0.9, 0.1, 0)
    kept = sum(rule.apply(store.get("gate"), sure) is not None for _ in range(2000))
    assert 100 < kept < 300  # 200, more than seven standard deviations away


@pytest.mark.parametrize(
    ("gate", "porch", "found"),
    [
        ((0.9, 0.1, 0), (0.9, 0.1, 0), None),
        ((0.9, 0.1, 0), (0.4, 0.3, 0.3), ("porch", "uncertain")),
        ((0.4, 0.3, 0.3), (0.1, 0.1, 0.8), ("porch", "unknown")),
        ((0.4, 0.3, 0.3), (0.4, 0.3, 0.3), ("gate", "uncertain")),
    ],
)
def test_of_several_heads_the_one_in_question_is_named(
    store: ReloadableStore,
    gate: tuple[float, ...],
    porch: tuple[float, ...],
    found: tuple[str, str] | None,
) -> None:
    finding = RULE.apply(group_of(store, "gate,porch"), scores(*gate, *porch))
    assert (finding and (finding.model.name, finding.reason)) == found


def test_a_model_of_the_store_has_no_unknown(store: ReloadableStore) -> None:
    sure = np.zeros(1000, np.float32)
    sure[-1] = 0.9
    assert RULE.apply(store.get(SMALL_V2), sure) is None
