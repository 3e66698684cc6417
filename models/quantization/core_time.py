"""Inference time of one image on one core, independent of other load on the machine."""

import time
from collections.abc import Sequence
from statistics import median
from typing import Any

from app.arrays import Uint8Array
from app.card.card import INPUT, PROBABILITIES

WARM_UP_RUNS = 5
TIMED_RUNS = 30


def core_ms(sessions: Sequence[Any], images: Sequence[Uint8Array]) -> list[float]:
    """Median milliseconds of each session for its image [1, H, W, 3], run in turns.

    Counts the CPU time of the calling thread, so that other threads do not matter.
    """
    spent: list[list[float]] = [[] for _ in sessions]
    for run in range(WARM_UP_RUNS + TIMED_RUNS):
        for session, image, times in zip(sessions, images, spent, strict=True):
            started = time.thread_time()
            session.run([PROBABILITIES], {INPUT: image})
            if run >= WARM_UP_RUNS:
                times.append((time.thread_time() - started) * 1000)
    return [median(times) for times in spent]
