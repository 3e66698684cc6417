"""Background tasks, which run until they are cancelled."""

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress

from app.auto.chooser import Chooser
from app.inference.measurer import Measurer
from app.inference.scheduler import Scheduler
from app.model.reloadable_store import ReloadableStore
from app.model.wide_session import WideSession
from app.service.lifecycle import Lifecycle
from app.service.reload import Reloader

log = logging.getLogger(__name__)
PAUSE_S = 0.5  # between two times of measuring
LOOK_S = 2.0  # between two looks for models that were loaded by their first use


async def poll_store(store: ReloadableStore, reloader: Reloader, every_s: float) -> None:
    """Reload the store whenever its files changed."""
    while True:
        await asyncio.sleep(every_s)
        if await asyncio.to_thread(store.changed):
            await reloader.try_reload()


async def measure_new_models(measurer: Measurer, changed: asyncio.Event, limit_s: float) -> None:
    """Time unmeasured variants while the service is idle, for up to `limit_s` at a time.

    Goes on until all are timed, and again after every change of the loaded models.
    """
    while True:
        loaded = measurer.measurable
        changed.clear()
        try:
            report = await measurer.measure_exclusively(limit_s, again=False)
        except Exception:  # the service works without; times are estimated
            log.exception("Measuring failed")
            report = None
        await asyncio.sleep(PAUSE_S)
        if report and report.left_out:
            while measurer.busy:
                await asyncio.sleep(PAUSE_S)
        else:
            while measurer.measurable == loaded and not changed.is_set():
                with suppress(TimeoutError):
                    await asyncio.wait_for(changed.wait(), LOOK_S)


async def keep_wide_session(wide_session: WideSession, every_s: float) -> None:
    """Open, drop and replace the second session of the default model as the store changes."""
    while True:
        await asyncio.sleep(every_s)
        if wide_session.outdated():
            await asyncio.to_thread(wide_session.update)


async def load_when_idle(
    load: Callable[[], None], lifecycle: Lifecycle, scheduler: Scheduler, every_s: float
) -> None:
    """Call `load` once, on another thread, at the first look that finds nothing in flight."""
    while True:
        await asyncio.sleep(every_s)
        if not lifecycle.active and not scheduler.unfinished:
            await asyncio.to_thread(load)
            return


async def end_brownout(chooser: Chooser, deadline_ms: float, every_s: float) -> None:
    """End a brown-out even without further requests for `auto`."""
    while True:
        await asyncio.sleep(every_s)
        chooser.check_load(deadline_ms)


async def release_memory(
    lifecycle: Lifecycle, scheduler: Scheduler, release: Callable[[], None], every_s: float
) -> None:
    """Call `release` on another thread whenever the service has become idle.

    Counts requests instead of images, as rejected bodies use memory too.
    """
    released = 0
    while True:
        await asyncio.sleep(every_s)
        finished = lifecycle.finished
        if finished != released and not scheduler.unfinished:
            released = finished
            await asyncio.to_thread(release)
