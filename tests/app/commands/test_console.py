"""Tables are printed whole, however narrow the terminal is."""

import os
import pty
import subprocess
from pathlib import Path

import pytest

from models.network.cost import network_cost
from models.network.design import define
from tests.processes import COMMAND, environment

LAYERS = ("models", "cost", "--alpha", "1.4", "--resolution", "224", "--layers")


def seen_on_terminal(columns: int, *arguments: str) -> str:
    """What a command prints on a terminal of that width."""
    leader, follower = pty.openpty()
    with subprocess.Popen(
        [COMMAND, *arguments],
        stdout=follower,
        env={**os.environ, "COLUMNS": str(columns), "TERM": "dumb"},
    ) as process:
        os.close(follower)
        seen = b""
        while piece := _read(leader):
            seen += piece
    os.close(leader)
    assert process.returncode == 0
    return seen.decode()


def _read(leader: int) -> bytes:
    try:
        return os.read(leader, 65536)
    except OSError:  # how Linux says that the other end is closed
        return b""


@pytest.mark.parametrize("columns", [40, 80, 200])
def test_no_figure_of_a_table_is_cut_off(columns: int) -> None:
    seen = seen_on_terminal(columns, *LAYERS)
    cost = network_cost(define("mobilenet_v2", 1.4, 224))
    for layer in cost.layers:
        assert f"{layer.madds:,}" in seen
        assert layer.name in seen
    assert "…" not in seen


def test_a_long_file_name_is_shown_whole_in_a_pipe(store: Path) -> None:
    name = f"IMG_20261122_133000_{'garden_' * 20}.jpg"
    done = subprocess.run(
        [COMMAND, "predict", name], capture_output=True, text=True, env=environment(store)
    )
    assert name in done.stdout
