"""What is told of the CPU."""

from pathlib import Path

import numpy as np
import onnxruntime as ort
import pytest

from app.model.runtime import new_session
from app.system.cpu import device, facts, prefers_int8, saturates, saturates_here
from tests.models.integer_graphs import largest_products


@pytest.mark.parametrize(
    ("machine", "flags", "expected"),
    [
        pytest.param("x86_64", "fpu avx2", True, id="avx2"),
        pytest.param("AMD64", "fpu avx512f", True, id="avx512"),
        pytest.param("x86_64", "fpu avx512_vnni", False, id="avx512-vnni"),
        pytest.param("x86_64", "fpu avx_vnni", False, id="avx-vnni"),
        pytest.param("aarch64", "", False, id="arm"),
    ],
)
def test_int8_products_saturate_on_x86_without_vnni(
    machine: str, flags: str, expected: bool
) -> None:
    assert saturates(machine, flags) is expected


@pytest.mark.parametrize(
    ("machine", "features", "expected"),
    [
        pytest.param("aarch64", "fp asimd asimdhp asimddp", True, id="cortex-a76"),
        pytest.param("aarch64", "fp asimd crc32 cpuid", False, id="cortex-a72"),
        pytest.param("x86_64", "asimddp", False, id="x86"),
    ],
)
def test_int8_activations_are_for_arm_with_dot_products(
    machine: str, features: str, expected: bool
) -> None:
    assert prefers_int8(machine, features) is expected


def test_the_facts_are_those_of_the_first_core(tmp_path: Path) -> None:
    path = tmp_path / "cpuinfo"
    path.write_text("processor\t: 0\nflags\t\t: a b\n\nprocessor\t: 1\nflags\t\t: c\n")
    assert facts(path) == {"processor": "0", "flags": "a b"}
    assert facts(tmp_path / "gone") == {}


def test_the_device_has_a_name() -> None:
    assert device().strip()
    assert ("without VNNI" in device()) <= saturates_here()


def test_the_largest_int8_products_do_not_saturate_on_this_cpu() -> None:
    """255 * 127 twice is more than 16 bits hold."""
    model, image, expected = largest_products()
    [ours] = new_session(model).run(None, {"image": image})
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    [plain] = ort.InferenceSession(model, options).run(None, {"image": image})
    assert np.array_equal(ours, expected)
    assert np.array_equal(plain, expected)
