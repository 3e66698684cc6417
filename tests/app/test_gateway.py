"""What is opened for the settings."""

import logging

import pytest

from app.gateway import open_batcher
from app.settings import Settings


@pytest.mark.parametrize(("batch_max", "workers", "most"), [(8, 4, 4), (8, 8, 8), (2, 8, 2)])
def test_a_batch_is_as_large_as_workers_can_fill(
    batch_max: int, workers: int, most: int, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        batcher = open_batcher(Settings(batch_max=batch_max), workers)
    assert batcher is not None
    assert batcher.max_images == most
    assert ("batch_max is 8, but 4 workers" in caplog.text) == (most < batch_max)


@pytest.mark.parametrize(("batch_max", "workers"), [(1, 8), (8, 1)])
def test_a_single_image_is_no_batch(batch_max: int, workers: int) -> None:
    assert open_batcher(Settings(batch_max=batch_max), workers) is None
