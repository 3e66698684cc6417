"""Quantiles that follow what requests take."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.inference.timings import SAMPLES_PER_UPDATE, Measured, Timings, Window
from tests.app.variants import variant

WINDOW, MAX_AGE_S = 128, 30.0  # docs/choosing.md: the latest 128 requests, and 30 s
MIN_SAMPLES = 16
SMALL, LARGE = variant("small", madds=1_000_000), variant("large", madds=4_000_000)


class Clock:
    now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


def served(timings: Timings, clock: Clock, inference_ms: float, times: int = MIN_SAMPLES) -> None:
    for _ in range(times):
        timings.record(SMALL.key, 50_000, 1.5, inference_ms, clock())


@given(st.lists(st.floats(0.1, 1e4), min_size=1, max_size=3 * WINDOW), st.sampled_from([0.5, 0.95]))
def test_a_quantile_is_a_newest_sample_with_that_share_below_it(
    samples: list[float], share: float
) -> None:
    window = Window()
    for sample in samples:
        window.add(sample, 0)
    newest = samples[-WINDOW:]
    found = window.quantile(share)
    assert found in newest
    assert sum(sample < found for sample in newest) <= share * len(newest)
    assert sum(sample <= found for sample in newest) >= share * len(newest)


def test_a_quantile_follows_new_samples_after_a_few() -> None:
    window = Window()
    window.add(1.0, 0)
    assert window.quantile(0.5) == 1.0
    for _ in range(SAMPLES_PER_UPDATE):
        window.add(9.0, 0)
    assert window.quantile(0.5) == 9.0


def test_one_slow_run_moves_nothing() -> None:
    clock = Clock()
    timings = Timings(clock)
    served(timings, clock, 2.0, 40)
    timings.record(SMALL.key, 50_000, 1.5, 900.0, clock())
    assert timings.inference_ms(SMALL) == 2.0


def test_a_measurement_holds_until_enough_requests_say_more() -> None:
    clock = Clock()
    timings = Timings(clock)
    timings.measure(SMALL, Measured(3.0, 4.0))
    assert timings.inference_ms(SMALL) == 3.0
    served(timings, clock, 6.0, MIN_SAMPLES - 1)
    assert timings.inference_ms(SMALL) == 3.0
    served(timings, clock, 6.0, SAMPLES_PER_UPDATE)
    assert timings.inference_ms(SMALL) == 6.0


def test_what_slows_one_variant_down_is_expected_of_all() -> None:
    clock = Clock()
    timings = Timings(clock)
    timings.measure(SMALL, Measured(3.0, 4.0))
    timings.measure(LARGE, Measured(10.0, 11.0))
    served(timings, clock, 6.0)
    assert timings.inference_ms(LARGE) == 20.0
    clock.now_s += MAX_AGE_S + 1
    assert timings.inference_ms(LARGE) == 10.0
    assert timings.inference_ms(SMALL) == 3.0


def test_what_was_never_timed_is_expected_by_its_multiply_adds() -> None:
    timings = Timings(Clock())
    before = timings.inference_ms(LARGE)
    assert before == 4 * timings.inference_ms(SMALL)
    timings.measure(SMALL, Measured(3.0, 4.0))
    assert timings.inference_ms(LARGE) == 12.0
    assert timings.observed(LARGE) is None


def test_decoding_is_known_by_the_size_of_the_image_and_the_resolution() -> None:
    clock = Clock()
    timings = Timings(clock)
    for image_bytes, resolution, decode_ms in (
        (50_000, 224, 2.0),
        (50_000, 96, 1.0),
        (9_000, 224, 0.5),
    ):
        timings.record_decode(image_bytes, resolution, decode_ms, clock())
    assert timings.decode_ms(60_000, 224) == 2.0
    assert timings.decode_ms(60_000, 96) == 1.0
    assert timings.decode_ms(9_000, 224) == 0.5
    assert timings.decode_ms(200_000, 224) == 8.0
    assert timings.decode_ms(60_000, 192) == 2.0
    assert [row[:2] for row in timings.decode_table()] == [(16383, 224), (65535, 96), (65535, 224)]


def test_before_anything_was_decoded_a_larger_image_is_expected_to_take_longer() -> None:
    timings = Timings(Clock())
    assert timings.decode_ms(1_000_000, 224) > timings.decode_ms(100_000, 224) > 0
    assert timings.decode_ms(timings.typical_bytes, 224) > 0


def test_the_usual_image_is_the_one_that_comes_most() -> None:
    timings = Timings(Clock())
    for image_bytes in (500_000, 20_000, 20_000):
        timings.record_decode(image_bytes, 224, 1.0, 0)
    assert 16_384 <= timings.typical_bytes < 32_768


def test_a_model_that_changed_is_forgotten() -> None:
    clock = Clock()
    timings = Timings(clock)
    timings.measure(SMALL, Measured(3.0, 4.0))
    timings.measure(LARGE, Measured(9.0, 9.0))
    served(timings, clock, 6.0)
    timings.forget({SMALL.model})
    assert timings.observed(SMALL) is None
    assert timings.observed(LARGE) is not None


@pytest.mark.parametrize(
    ("older", "newer", "median"), [(128, 64, 9.0), (128, 63, 1.0), (500, 65, 9.0)]
)
def test_the_latest_128_samples_count(older: int, newer: int, median: float) -> None:
    window = Window()
    for value, count in ((1.0, older), (9.0, newer)):
        for _ in range(count):
            window.add(value, 0)
    assert len(window) == 128
    assert window.quantile(0.5) == median


@pytest.mark.parametrize(
    ("samples", "age_s", "expected_ms"),
    [(16, 29.9, 6.0), (16, 30.1, 3.0), (15, 0.0, 3.0)],
)
def test_recent_requests_count_if_there_are_sixteen_within_half_a_minute(
    samples: int, age_s: float, expected_ms: float
) -> None:
    clock = Clock()
    timings = Timings(clock)
    timings.measure(SMALL, Measured(3.0, 4.0))
    served(timings, clock, 6.0, samples)
    clock.now_s += age_s
    assert timings.inference_ms(SMALL) == expected_ms


def test_what_is_guessed_is_a_small_board() -> None:
    """20 G multiply-adds a second; 2 ms to decode 64 KiB, and twice that for twice the bytes."""
    timings = Timings(Clock())
    assert timings.inference_ms(variant("v2", madds=300_000_000)) == pytest.approx(15.0)
    for size_bytes, decode_ms in ((65_536, 2.0), (131_071, 2.0), (131_072, 4.0), (16_384, 0.5)):
        assert timings.decode_ms(size_bytes, 224) == pytest.approx(decode_ms)


def test_a_machine_is_never_expected_to_be_faster_than_when_it_was_idle() -> None:
    clock = Clock()
    timings = Timings(clock)
    timings.measure(SMALL, Measured(3.0, 4.0))
    timings.measure(LARGE, Measured(10.0, 11.0))
    served(timings, clock, 1.5)
    assert timings.slowdown == 1.0
    assert timings.inference_ms(LARGE) == 10.0


def test_the_slower_times_are_told_beside_the_usual_ones() -> None:
    clock = Clock()
    timings = Timings(clock)
    for number in range(100):
        timings.record(SMALL.key, 50_000, 1.5, 9.0 if number < 6 else 2.0, clock())
    found = timings.observed(SMALL)
    assert found is not None
    assert (found.p50_ms, found.p95_ms, found.samples) == (2.0, 9.0, 100)
    [(limit_bytes, resolution, decoding)] = timings.decode_table()
    assert (limit_bytes, resolution) == (65_535, 224)
    assert (decoding.p50_ms, decoding.samples) == (1.5, 100)
