"""Which models are loaded: one change after the other, and all who know of models are told."""

import asyncio
import logging

from app.auto.chooser import Chooser
from app.errors import GatewayError
from app.inference.timings import Timings
from app.model.store import Changes, Store
from app.telemetry.metrics import Metrics

log = logging.getLogger(__name__)


class Roster:
    """Changes what the store serves, beside the work that is under way; event loop only.

    `changed` is set with every change; who waits for it clears it.
    """

    def __init__(self, store: Store, metrics: Metrics, timings: Timings, chooser: Chooser) -> None:
        self._store = store
        self._metrics = metrics
        self._timings = timings
        self._chooser = chooser
        self._changing = asyncio.Lock()
        self.changed = asyncio.Event()

    async def reload(self) -> Changes:
        """Read the store again.

        Raises:
            ModelFileError: the folder cannot be read or nothing in it can be served.
        """
        async with self._changing:
            changes = await asyncio.to_thread(self._store.reload)
            await self._take_over({*changes.loaded, *changes.dropped})
            return changes

    async def try_reload(self) -> None:
        """Reload; what goes wrong is logged, and what was loaded goes on serving."""
        try:
            await self.reload()
        except GatewayError as error:
            log.error("not reloaded: %s", error)
        except Exception:  # a mistake of ours must not end the polling
            log.exception("not reloaded")

    async def load(self, name: str) -> None:
        """Load one model of the store, or load it again.

        Raises:
            UnknownModel: no file of the store has that name.
            ModelFileError: the file cannot be served; what was loaded goes on.
        """
        async with self._changing:
            loaded = await asyncio.to_thread(self._store.load, name)
            await self._take_over({loaded})

    async def unload(self, name: str) -> None:
        """Stop serving one model; requests that hold it are answered.

        Raises:
            UnknownModel: none of that name is loaded.
            LastModel: no other is loaded.
        """
        async with self._changing:
            self._store.unload(name)
            await self._take_over({name})

    async def _take_over(self, changed: set[str]) -> None:
        """Tell all who know of the models that these are others or gone."""
        self._metrics.describe_models(model.card for model in self._store)
        self._timings.forget(changed)
        await self._chooser.reload(changed)
        self.changed.set()
