import numpy as np
import pytest

from app.arrays import Float64Array
from app.teaching.lbfgs import minimize


def test_minimum_of_a_quadratic_is_the_solution_of_its_linear_system() -> None:
    random = np.random.default_rng(0)
    root = random.normal(size=(30, 30))
    matrix, vector = root @ root.T + np.eye(30), random.normal(size=30)

    def objective(point: Float64Array) -> tuple[float, Float64Array]:
        return float(point @ matrix @ point / 2 - vector @ point), matrix @ point - vector

    found = minimize(objective, np.zeros(30), tolerance=1e-9, max_iterations=1000)
    assert found == pytest.approx(np.linalg.solve(matrix, vector), abs=1e-6)


def test_ends_after_the_iterations_that_are_allowed() -> None:
    evaluated = []

    def objective(point: Float64Array) -> tuple[float, Float64Array]:
        evaluated.append(point)
        return float(np.sum(point**4)), 4 * point**3

    start = np.full(3, 5.0)
    assert minimize(objective, start, tolerance=0, max_iterations=0) is start
    assert len(evaluated) == 1


def test_ends_where_a_step_no_longer_helps() -> None:
    """A wrong gradient must not loop for ever."""

    def objective(point: Float64Array) -> tuple[float, Float64Array]:
        return float(point[0] ** 2), -2 * point

    assert minimize(objective, np.array([3.0]), tolerance=0, max_iterations=50).tolist() == [3.0]
