"""Weights by rule: the same on every machine, and alive."""

import numpy as np

from models.export.derived_weights import batch_norm, bias, kernel, uniform


def test_values_depend_on_name_and_seed_and_on_nothing_else() -> None:
    assert np.array_equal(uniform("stem", (4, 3), 0, 1), uniform("stem", (4, 3), 0, 1))
    assert not np.array_equal(uniform("stem", (4, 3), 0, 1), uniform("head", (4, 3), 0, 1))
    assert not np.array_equal(uniform("stem", (4, 3), 0, 1), uniform("stem", (4, 3), 0, 1, seed=1))


def test_the_stream_is_the_one_that_recorded_answers_were_made_with() -> None:
    found = uniform("stem", (4,), -1, 1)
    expected = [-0.7273457050323486, -0.5635583996772766, 0.010868922807276249, -0.4507504403591156]
    assert np.array_equal(found, np.array(expected, np.float32))


def test_a_kernel_has_the_variance_that_keeps_signals_alive() -> None:
    found = kernel("stem", (200, 50, 3, 3), fan_in=450)
    assert found.dtype == np.float32
    assert abs(found.mean()) < 1e-3
    assert np.isclose(found.var(), 2 / 450, rtol=0.02)


def test_no_part_of_a_batch_norm_is_trivial() -> None:
    parts = batch_norm("stem", 100)
    assert list(parts) == ["gamma", "beta", "mean", "variance"]
    assert min(values.std() for values in parts.values()) > 0.1
    assert parts["variance"].min() > 0
    assert bias("classifier", 100).std() > 0.1
