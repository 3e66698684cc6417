"""Whoever knows of the models hears that they are others or gone."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.service.gateway import Gateway, open_gateway
from app.settings import Settings
from tests.conftest import SMALL_V1, SMALL_V2
from tests.processes import metric_of
from tests.robustness.stores import copied, put

LONG_S = 60.0


@pytest.fixture
def folder(store: Path, tmp_path: Path) -> Path:
    return copied(store, tmp_path / "store")


@pytest.fixture
def gateway(folder: Path) -> Iterator[Gateway]:
    opened = open_gateway(Settings(store=folder, auto_resolutions=(96, 128), cache=False))
    yield opened
    opened.close()


def described(gateway: Gateway) -> dict[str, float]:
    text = gateway.current_metrics().render().decode()
    return {
        name: metric_of(text, "gateway_model_info", model=name) for name in (SMALL_V1, SMALL_V2)
    }


def timed(gateway: Gateway) -> set[str]:
    return {name for name, _ in gateway.timings.measured}


def test_metrics_name_the_models_that_are_loaded(gateway: Gateway) -> None:
    assert described(gateway) == {SMALL_V1: 1, SMALL_V2: 1}
    asyncio.run(gateway.reloader.unload(SMALL_V2))
    assert described(gateway) == {SMALL_V1: 1, SMALL_V2: 0}
    asyncio.run(gateway.reloader.load(SMALL_V2))
    assert described(gateway) == {SMALL_V1: 1, SMALL_V2: 1}


def test_a_replaced_model_does_not_keep_the_times_of_the_old_one(
    gateway: Gateway, folder: Path
) -> None:
    asyncio.run(gateway.measurer.measure_exclusively(LONG_S))
    assert timed(gateway) == {SMALL_V1, SMALL_V2}
    put(folder, seed=1)
    asyncio.run(gateway.reloader.reload())
    assert timed(gateway) == {SMALL_V2}


def test_of_two_reloads_at_once_one_finds_what_the_other_loaded(
    gateway: Gateway, folder: Path
) -> None:
    async def reload_twice() -> list[list[str]]:
        both = await asyncio.gather(gateway.reloader.reload(), gateway.reloader.reload())
        return sorted(changes.loaded for changes in both)

    put(folder, seed=1)
    assert asyncio.run(reload_twice()) == [[], [SMALL_V1]]
