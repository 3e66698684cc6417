"""What the benchmarks serve on a machine that lacks a model."""

from pathlib import Path

import pytest

from app.model.model import load_model
from loadtest.host.gateway import start_gateway
from loadtest.host.model_store import LARGEST, SMALLEST
from loadtest.host.stand_in import write_stand_in


def test_a_stand_in_has_the_published_graph_and_says_that_it_is_untrained(tmp_path: Path) -> None:
    model = load_model(write_stand_in(SMALLEST, tmp_path))
    assert (model.name, model.card.trained, model.card.accuracy) == (SMALLEST, False, None)
    assert f"{model.card.cost.madds / 1e6:.0f}" == "14"  # millions, of the publisher's table
    assert f"{model.card.cost.params / 1e6:.2f}" == "0.47"
    assert model.card.background == 0


def test_a_missing_model_is_named_with_the_command_that_gets_it(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match=f"models pull {LARGEST}`"):
        start_gateway(tmp_path, LARGEST, tmp_path / "log")
