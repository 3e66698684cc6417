"""What is adopted of mutated graphs answers as before; `make check-mutations` tries hundreds."""

import pytest

pytest.importorskip("ai_edge_litert", reason="needs LiteRT, of the extra `import`")

from tests.models.importing.mutations.run import KINDS, Outcome, run

GRAPHS = 9


@pytest.mark.unmeasured
def test_no_mutated_graph_is_adopted_with_other_answers() -> None:
    summary = run(GRAPHS, seed=1, kinds=KINDS[::3]).summary()
    assert summary["wrong"] == []
    assert summary["valid"] > GRAPHS / 3
    assert summary["adopted"] > summary["valid"] / 2


def test_a_difference_or_another_first_class_is_wrong() -> None:
    for kind, difference, first_class, wrong in (
        ("v1 float32", 2e-4, True, True),
        ("v1 float32", 5e-5, True, False),
        ("v1 int8", 0.015, True, False),
        ("v1 int8", 0.03, True, True),
        ("v1 int8", 0.01, False, True),
        ("v1 onnx", float("inf"), True, True),
        ("v1 onnx", float("nan"), True, True),
    ):
        outcome = Outcome(kind, [], True, True, difference, first_class)
        assert outcome.wrong == wrong
