"""An attack is measured on a real service, and judged by what others saw."""

import pytest

from loadtest.robustness.attacks import AttackResult, Seen, attack
from tests.app.sample_images import chelsea, encode
from tests.conftest import REAL_MODEL, ROOT

STORE = ROOT / "models" / "store"
MODEL = STORE / f"{REAL_MODEL}.onnx"


@pytest.mark.unmeasured
@pytest.mark.skipif(not MODEL.is_file(), reason=f"{MODEL} is missing; run `make serve` once")
def test_others_are_served_beside_unfinished_heads() -> None:
    result = attack("unfinished heads", STORE, encode(chelsea(), "JPEG"), seconds=0.5)
    assert result.before.latencies_ms
    assert result.during.latencies_ms
    assert result.during.failures == result.health.failures == []


def seen(*latencies_ms: float, failures: tuple[str, ...] = ()) -> Seen:
    return Seen(list(latencies_ms), list(failures))


@pytest.mark.parametrize(
    ("before", "during", "health", "stop_s", "met"),
    [
        (10.0, 60.0, 99.0, 20.9, True),
        (10.0, 60.1, 99.0, 1.0, False),
        (30.0, 90.0, 99.0, 1.0, True),
        (30.0, 90.1, 99.0, 1.0, False),
        (10.0, 10.0, 100.0, 1.0, False),
        (10.0, 10.0, 10.0, 21.1, False),
    ],
)
def test_each_limit_counts(
    before: float, during: float, health: float, stop_s: float, met: bool
) -> None:
    result = AttackResult("x", seen(before), seen(during), seen(health), 0, stop_s)
    assert result.met is met


@pytest.mark.parametrize(
    ("during", "health"),
    [
        (seen(10.0, failures=("503",)), seen(1.0)),
        (seen(10.0), seen(1.0, failures=("refused",))),
        (seen(), seen(1.0)),
        (seen(10.0), seen()),
    ],
)
def test_a_failure_or_no_answer_at_all_counts(during: Seen, health: Seen) -> None:
    assert not AttackResult("x", seen(10.0), during, health, 0, stop_s=1.0).met


def test_p99_leaves_out_one_of_a_hundred() -> None:
    assert seen(*[1.0] * 99, 500.0).p99_ms == 1.0
    assert seen(*[1.0] * 98, 500.0, 500.0).p99_ms == 500.0
