"""Changes to the set of loaded models, one at a time, and everything that depends on it."""

import asyncio
import logging

from app.auto.chooser import Chooser
from app.errors import GatewayError
from app.inference.timings import Timings
from app.model.reloadable_store import Changes, ReloadableStore

log = logging.getLogger(__name__)


class Reloader:
    """Changes the loaded models while requests are in flight; event loop only.

    Every change sets `changed`; whoever waits for it clears it.
    """

    def __init__(self, store: ReloadableStore, timings: Timings, chooser: Chooser) -> None:
        self._store = store
        self._timings = timings
        self._chooser = chooser
        self._changing = asyncio.Lock()
        self.changed = asyncio.Event()

    async def reload(self) -> Changes:
        """As `Store.reload`."""
        async with self._changing:
            changes = await asyncio.to_thread(self._store.reload, self._chooser.replace)
            await self._apply({*changes.loaded, *changes.dropped})
            return changes

    async def try_reload(self) -> None:
        """Reload; log a failure and keep serving the loaded models."""
        try:
            await self.reload()
        except GatewayError as error:
            log.error("Reload failed: %s", error)
        except Exception:  # an error of this program must not end the polling
            log.exception("Reload failed")

    async def load(self, name: str) -> None:
        """As `Store.load`."""
        async with self._changing:
            loaded = await asyncio.to_thread(self._store.load, name)
            await self._apply({loaded})

    async def unload(self, name: str) -> None:
        """As `Store.unload`."""
        async with self._changing:
            await asyncio.to_thread(self._store.unload, name)
            await self._apply({name})

    async def _apply(self, changed: set[str]) -> None:
        self._timings.forget(changed)
        await self._chooser.reload(changed)
        self.changed.set()
