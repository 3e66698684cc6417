"""Loops that run beside the requests until they are cancelled."""

import asyncio
import logging
from collections.abc import Callable

from app.auto.chooser import Chooser
from app.inference.measurer import Measurer
from app.inference.scheduler import Scheduler
from app.model.store import Store
from app.service.lifecycle import Lifecycle
from app.service.reload import Reloader

log = logging.getLogger(__name__)


async def poll_store(store: Store, reloader: Reloader, every_s: float) -> None:
    """Reload the store whenever its files changed."""
    while True:
        await asyncio.sleep(every_s)
        if await asyncio.to_thread(store.changed):
            await reloader.try_reload()


async def measure_new_models(measurer: Measurer, changed: asyncio.Event, limit_s: float) -> None:
    """Time unmeasured variants now and after every change of models, `limit_s` at most each."""
    while True:
        try:
            await measurer.measure_in_turn(limit_s, again=False)
        except Exception:  # the service answers without; times are estimated instead
            log.exception("Measuring failed")
        await changed.wait()
        changed.clear()


async def end_brownout(chooser: Chooser, deadline_ms: float, every_s: float) -> None:
    """End a brown-out even if no request asks for `auto` any more."""
    while True:
        await asyncio.sleep(every_s)
        chooser.check_load(deadline_ms)


async def release_memory(
    lifecycle: Lifecycle, scheduler: Scheduler, release: Callable[[], None], every_s: float
) -> None:
    """Call `release` on another thread each time that all work has ended.

    Rejected bodies take memory too, so requests count and not images.
    """
    released = 0
    while True:
        await asyncio.sleep(every_s)
        finished = lifecycle.finished
        if finished != released and not scheduler.unfinished:
            released = finished
            await asyncio.to_thread(release)
