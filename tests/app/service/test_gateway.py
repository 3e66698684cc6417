"""What an opened gateway ends when it is closed."""

import asyncio
from pathlib import Path

from app.service.gateway import open_gateway
from app.settings import Settings
from tests.conftest import SMALL_V1

LONG_S = 60.0


def test_a_closed_gateway_measures_no_more(store: Path) -> None:
    """What is left of a measurement would keep the process from ending."""
    gateway = open_gateway(Settings(store=store, models=(SMALL_V1,), cache=False))
    gateway.close()
    report = asyncio.run(gateway.measurer.measure_exclusively(LONG_S))
    assert report.measured == 0
    assert report.left_out > 0
