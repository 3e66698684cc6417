"""What replaces functions of NumPy that the image lacks."""

import subprocess
import sys

import numpy as np
import pytest

from app.arrays import distinct, median

RANDOM = np.random.default_rng(0)


@pytest.mark.parametrize("shape", [(1, 1), (3, 4), (5, 5), (48, 27)])
def test_the_median_is_numpys(shape: tuple[int, int]) -> None:
    values = RANDOM.normal(size=shape).astype(np.float32)
    assert median(values) == pytest.approx(np.median(values), abs=1e-6)
    assert np.allclose(median(values, 1), np.median(values, axis=1, keepdims=True), atol=1e-6)
    assert median(values, 1).shape == (shape[0], 1)


def test_distinct_values_are_numpys() -> None:
    values = RANDOM.integers(0, 9, 50)
    assert distinct(values) == np.unique(values).tolist()


def test_a_camera_needs_nothing_of_numpy_that_the_image_lacks() -> None:
    code = (
        "import sys\n"
        "for name in ('ma', 'random', 'fft', 'polynomial'): sys.modules[f'numpy.{name}'] = None\n"
        "import numpy as np\n"
        "from app.cameras.change_gate import ChangeGate\n"
        "gate, grey = ChangeGate(), np.zeros((30, 48), np.float32)\n"
        "gate.keep(grey)\n"
        "assert not gate.differs(grey)\n"
        "gate.follow(grey, 1.0)\n"
        "assert gate.differs(grey + np.eye(30, 48, dtype=np.float32) * 90)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
