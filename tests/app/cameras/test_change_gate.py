"""The change gate on scenes with noise: what it saves, and that it misses nothing.

`python -m loadtest.cameras.gate` tries more of each.
"""

import numpy as np
import pytest

from app.arrays import Uint8Array
from app.cameras.change_gate import ChangeGate
from app.cameras.frames.zone import Rectangle
from loadtest.cameras.gate import found_changes, saved_share
from loadtest.cameras.noisy_scenes import Size

SMALL = Size(320, 240)
NOISES = (
    "Gaussian, sigma 10",
    "shot, 150 electrons",
    "Gaussian, JPEG at 30",
    "flicker of 6 levels",
    "bands of 6 levels",
    "dusk",
)


@pytest.mark.unmeasured
@pytest.mark.parametrize("noise", NOISES)
def test_noise_is_no_change_and_every_object_is_one(noise: str) -> None:
    assert saved_share(noise, 20, SMALL) >= 0.95
    assert found_changes(noise, 3, SMALL) == 3


def grey(levels: float = 100, rows: int = 30, columns: int = 40) -> Uint8Array:
    return np.full((rows, columns), levels, np.uint8)


def test_light_that_changes_slowly_is_no_change() -> None:
    gate = ChangeGate()
    gate.keep(grey(60))
    for second in range(600):  # 100 levels in ten minutes, more on the left
        frame = grey()
        frame[:, :20] = 60 + second // 6
        frame[:, 20:] = 60 + second // 12
        assert not gate.differs(frame), second
        gate.follow(frame, 1.0)


def test_a_change_outside_the_rectangles_of_the_zone_does_not_count() -> None:
    gate = ChangeGate((Rectangle(0, 0, 0.25, 1), Rectangle(0.75, 0, 0.25, 1)))
    gate.keep(grey())
    between = grey()
    between[10:20, 11:29] = 200
    assert not gate.differs(between)
    within = grey()
    within[10:16, 1:8] = 200
    assert gate.differs(within)


def test_another_shape_is_a_change() -> None:
    gate = ChangeGate()
    assert gate.differs(grey())
    gate.keep(grey())
    assert not gate.differs(grey())
    assert gate.differs(grey(rows=20))


def test_a_wide_bar_is_not_taken_for_flicker() -> None:
    gate = ChangeGate()
    gate.keep(grey())
    bar = grey()
    bar[12:15] += 20
    assert gate.differs(bar)
