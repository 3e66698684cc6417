"""Loops that keep the service in order while it serves; each goes on until it is cancelled."""

import asyncio
import logging
from collections.abc import Callable

from app.auto.chooser import Chooser
from app.inference.measurer import Measurer
from app.inference.scheduler import Scheduler
from app.model.store import Store
from app.service.lifecycle import Lifecycle
from app.service.reload import Roster

log = logging.getLogger(__name__)


async def poll(store: Store, roster: Roster, every_s: float) -> None:
    """Look at the store, and read it again if it changed."""
    while True:
        await asyncio.sleep(every_s)
        if await asyncio.to_thread(store.changed):
            await roster.try_reload()


async def keep_measured(measurer: Measurer, changed: asyncio.Event, limit_s: float) -> None:
    """Time what was never timed, for at most `limit_s`: now, and whenever models changed."""
    while True:
        try:
            await measurer.measure_in_turn(limit_s, again=False)
        except Exception:  # the service answers without; times are guessed instead
            log.exception("not measured")
        await changed.wait()
        changed.clear()


async def watch(chooser: Chooser, deadline_ms: float, every_s: float) -> None:
    """Let a brown-out end although nobody asks for `auto` any more."""
    while True:
        await asyncio.sleep(every_s)
        chooser.watch(deadline_ms)


async def tidy(
    lifecycle: Lifecycle, scheduler: Scheduler, rest: Callable[[], None], every_s: float
) -> None:
    """Call `rest` on another thread each time that work has come to an end.

    Bodies that were refused take memory too, so requests count and not images.
    """
    tidied = 0
    while True:
        await asyncio.sleep(every_s)
        finished = lifecycle.finished
        if finished != tidied and not scheduler.unfinished:
            tidied = finished
            await asyncio.to_thread(rest)
