"""Batches: everybody gets the row of its own image, whoever it ran with."""

import logging
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.arrays import Float32Array, Uint8Array
from app.inference.batching import Batcher, open_batcher
from tests.processes import LIVELINESS_S

LONG_MS = 5_000  # never waited for to its end: the batches of these tests fill up


def image(value: int) -> Uint8Array:
    return np.full((2, 2, 3), value, np.uint8)


class Recorder:
    """Runs a batch to rows that name the images, and keeps the size of every batch."""

    def __init__(self) -> None:
        self.sizes: list[int] = []

    def __call__(self, images: Uint8Array) -> Float32Array:
        self.sizes.append(len(images))
        return images.reshape(len(images), -1).astype(np.float32)


@settings(deadline=None, max_examples=30)
@given(
    values=st.lists(st.integers(0, 255), min_size=1, max_size=40),
    max_images=st.integers(2, 9),
    threads=st.integers(1, 12),
)
def test_every_image_gets_its_own_row(values: list[int], max_images: int, threads: int) -> None:
    batcher, run = Batcher(max_images, window_ms=1), Recorder()
    with ThreadPoolExecutor(threads) as pool:
        rows = list(pool.map(lambda value: batcher.infer("m", image(value), run), values))
    assert [row.tolist() for row in rows] == [[value] * 12 for value in values]
    assert sum(run.sizes) == len(values)
    assert max(run.sizes) <= max_images


def test_a_batch_runs_as_soon_as_it_is_full() -> None:
    batcher, run = Batcher(4, LONG_MS), Recorder()
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda value: batcher.infer("m", image(value), run), range(4)))
    assert run.sizes == [4]


def test_an_image_without_company_waits_for_milliseconds_and_not_for_seconds() -> None:
    batcher, run = Batcher(4, window_ms=500), Recorder()
    alone = threading.Thread(target=batcher.infer, args=("m", image(1), run), daemon=True)
    alone.start()
    alone.join(LIVELINESS_S)
    assert run.sizes == [1]


def test_images_of_different_groups_never_run_together() -> None:
    batcher, run = Batcher(2, LONG_MS), Recorder()
    with ThreadPoolExecutor(4) as pool:
        groups = ["a", "b", "a", "b"]
        rows = list(pool.map(lambda g: batcher.infer(g, image(ord(g)), run), groups))
    assert [row[0] for row in rows] == [97, 98, 97, 98]
    assert run.sizes == [2, 2]


def test_a_failing_run_fails_every_image_of_its_batch_and_no_other() -> None:
    batcher = Batcher(2, LONG_MS)
    broken = threading.Event()

    def fail_once(images: Uint8Array) -> Float32Array:
        if not broken.is_set():
            broken.set()
            raise RuntimeError("the accelerator is gone")
        return Recorder()(images)

    def infer(value: int) -> Float32Array:
        return batcher.infer("m", image(value), fail_once)

    with ThreadPoolExecutor(2) as pool:
        failed = [pool.submit(infer, value) for value in (1, 2)]
        for future in failed:
            with pytest.raises(RuntimeError, match="accelerator"):
                future.result()
        assert [row[0] for row in pool.map(infer, (3, 4))] == [3, 4]


def test_a_lonely_image_runs_when_its_window_is_over() -> None:
    run = Recorder()
    assert Batcher(8, window_ms=1).infer("m", image(7), run)[0] == 7
    assert run.sizes == [1]


@pytest.mark.parametrize(("batch_max", "workers", "most"), [(8, 4, 4), (8, 8, 8), (2, 8, 2)])
def test_a_batch_is_as_large_as_workers_can_fill(
    batch_max: int, workers: int, most: int, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        batcher = open_batcher(batch_max, LONG_MS, workers)
    assert batcher is not None
    assert batcher.max_images == most
    assert ("batch_max is 8, but each image needs one of 4 workers" in caplog.text) == (
        most < batch_max
    )


@pytest.mark.parametrize(("batch_max", "workers"), [(1, 8), (8, 1)])
def test_a_single_image_is_no_batch(batch_max: int, workers: int) -> None:
    assert open_batcher(batch_max, LONG_MS, workers) is None
