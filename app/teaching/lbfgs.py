"""Limited-memory BFGS: minimise a smooth function of a vector.

Nocedal and Wright, Numerical Optimization, 2nd edition, algorithms 7.4 and 7.5.
"""

from collections import deque
from collections.abc import Callable

import numpy as np

from app.arrays import Float64Array

MEMORY = 10  # pairs of step and change of gradient
SUFFICIENT_DECREASE = 1e-4  # Armijo's constant
MAX_HALVINGS = 30

Objective = Callable[[Float64Array], tuple[float, Float64Array]]


def minimize(
    objective: Objective, start: Float64Array, *, tolerance: float, max_iterations: int
) -> Float64Array:
    """Minimise a convex function, starting at `start` [size].

    `objective` returns the value and the gradient [size]. Stops when no component of the gradient
    exceeds `tolerance`, when a step no longer decreases the value, or after `max_iterations`.
    """
    point = start
    value, gradient = objective(point)
    pairs: deque[tuple[Float64Array, Float64Array]] = deque(maxlen=MEMORY)
    for _ in range(max_iterations):
        if np.abs(gradient).max() <= tolerance:
            break
        direction = _direction(gradient, pairs)
        slope = float(gradient @ direction)
        # Without curvature information a full step may be far too long.
        step = 1.0 if pairs else min(1.0, 1 / float(np.abs(gradient).sum()))
        for _ in range(MAX_HALVINGS):
            next_point = point + step * direction
            next_value, next_gradient = objective(next_point)
            if next_value <= value + SUFFICIENT_DECREASE * step * slope:
                break
            step /= 2
        else:
            break
        moved, change = next_point - point, next_gradient - gradient
        if moved @ change > 0:  # otherwise the approximation would not stay positive definite
            pairs.append((moved, change))
        point, value, gradient = next_point, next_value, next_gradient
    return point


def _direction(
    gradient: Float64Array, pairs: deque[tuple[Float64Array, Float64Array]]
) -> Float64Array:
    """The negative gradient times the approximate inverse Hessian (the two-loop recursion)."""
    direction = -gradient
    shares = []
    for moved, change in reversed(pairs):
        share = moved @ direction / (moved @ change)
        direction = direction - share * change
        shares.append(share)
    if pairs:
        moved, change = pairs[-1]
        direction = direction * (moved @ change / (change @ change))
    for (moved, change), share in zip(pairs, reversed(shares), strict=True):
        direction = direction + (share - change @ direction / (moved @ change)) * moved
    return direction
