"""What lives as long as the service runs, and how a request gets at it."""

import asyncio
import logging
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Annotated, TypedDict

from fastapi import Depends, Request

from app import memory, runtime
from app.auth import Keys, read_keys
from app.auto import Chooser
from app.batching import open_batcher
from app.budget import ByteBudget
from app.cache import GraphCache
from app.classify import Classifier
from app.cores import Cores, usable_cores
from app.errors import GatewayError, SettingError
from app.ledger import Ledger
from app.lifecycle import Lifecycle
from app.limits import parse_limits
from app.measure import Measurer, Report
from app.metrics import Metrics
from app.model import load_model
from app.providers import choose
from app.scheduler import Scheduler
from app.settings import Settings
from app.store import AUTO, Changes, Selection, Store
from app.timing import Timings

if TYPE_CHECKING:
    from app.tracing import Tracing

log = logging.getLogger(__name__)
TIDY_S = 2.0


@dataclass(frozen=True, slots=True)
class Gateway:
    """The opened service: settings, models, threads."""

    settings: Settings
    cores: Cores
    store: Store
    scheduler: Scheduler
    classifier: Classifier
    budget: ByteBudget
    lifecycle: Lifecycle
    metrics: Metrics
    ledger: Ledger
    keys: Keys
    reloading: asyncio.Lock
    measuring: asyncio.Lock
    untimed: asyncio.Event  # there may be models that were never timed
    timings: Timings
    measurer: Measurer
    chooser: Chooser
    tracing: "Tracing | None" = None

    @property
    def default_model(self) -> str:
        """What answers when a request names nothing: a loaded model, or `auto`."""
        return AUTO if self.settings.default_model == AUTO else self.store.default

    async def reload(self) -> Changes:
        """Read the store again beside the work that is under way.

        Raises:
            ModelFileError: the folder cannot be read or nothing in it can be served.
        """
        async with self.reloading:
            changes = await asyncio.to_thread(self.store.reload)
            await self._take_over({*changes.loaded, *changes.dropped})
            return changes

    async def measure(self, limit_s: float, *, again: bool = True) -> Report:
        """Time the loaded models on a thread of its own, one call after the other.

        `limit_s` is the most that it takes, once it is its turn.
        """
        async with self.measuring:
            report = await asyncio.to_thread(self.measurer.measure, limit_s, again=again)
        if report.measured:  # runs at many resolutions leave memory in pieces that fit none
            await asyncio.to_thread(rest, self.store)
        return report

    async def keep_measured(self) -> None:
        """Time what was never timed, at the start and when models changed, for ever."""
        while True:
            try:
                await self.measure(self.settings.measure_s, again=False)
            except Exception:  # the service answers without; times are guessed instead
                log.exception("not measured")
            await self.untimed.wait()
            self.untimed.clear()

    async def load(self, name: str) -> None:
        """Load one model of the store, or load it again, beside the work that is under way.

        Raises:
            UnknownModel: no file of the store has that name.
            ModelFileError: the file cannot be served; what was loaded goes on.
        """
        async with self.reloading:
            loaded = await asyncio.to_thread(self.store.load, name)
            await self._take_over({loaded})

    async def unload(self, name: str) -> None:
        """Stop serving one model; requests that hold it are answered.

        Raises:
            UnknownModel: none of that name is loaded.
            LastModel: no other is loaded.
        """
        async with self.reloading:
            self.store.unload(name)
            await self._take_over({name})

    async def _take_over(self, changed: set[str]) -> None:
        """Tell all who know of the models that these are others or gone."""
        self.metrics.describe_models(model.card for model in self.store)
        self.timings.forget(changed)
        await self.chooser.reload(changed)
        self.untimed.set()

    async def poll(self) -> None:
        """Look at the store every `reload_poll_s`, for ever, and read it again if it changed."""
        while True:
            await asyncio.sleep(self.settings.reload_poll_s)
            if await asyncio.to_thread(self.store.changed):
                await self.try_reload()

    async def tidy(self) -> None:
        """Give memory back to the system each time that work has come to rest, for ever.

        Bodies that were refused take memory too, so requests count and not images. It also lets a
        brown-out end if nobody asks for `auto` any more.
        """
        tidied = 0
        while True:
            await asyncio.sleep(TIDY_S)
            self.chooser.watch(self.settings.deadline_ms)
            finished = self.lifecycle.finished
            if finished != tidied and not self.scheduler.unfinished:
                tidied = finished
                await asyncio.to_thread(rest, self.store)

    async def try_reload(self) -> None:
        """Reload; what goes wrong is logged, and what was loaded goes on serving."""
        try:
            await self.reload()
        except GatewayError as error:
            log.error("not reloaded: %s", error)
        except Exception:  # a mistake of ours must not end the polling
            log.exception("not reloaded")

    def observe_load(self) -> None:
        """Bring the metrics to what was answered and is under way now."""
        self.ledger.write()
        self.metrics.queue_depth.set(self.scheduler.waiting)
        self.metrics.permits.set(self.scheduler.unfinished)
        self.metrics.body_bytes.set(self.budget.held_bytes)

    def current_metrics(self) -> Metrics:
        """The metrics, for somebody who looks at them now."""
        self.observe_load()
        return self.metrics

    def close(self) -> None:
        self.measurer.stop()
        self.scheduler.close()
        self.ledger.write()
        self.metrics.close()
        if self.tracing:
            self.tracing.close()


class State(TypedDict):
    """What the lifespan hands to every request."""

    gateway: Gateway


def open_gateway(settings: Settings) -> Gateway:
    """Load and warm the models, then start the workers.

    Raises:
        SettingError: a provider is asked for that this onnxruntime lacks, or traces are and
            OpenTelemetry is not installed.
        ModelFileError: a model cannot be served; the text names the file and the reason.
    """
    providers = choose(settings.providers, runtime.offered())
    auto_by_default = settings.default_model == AUTO
    default = "" if auto_by_default else settings.default_model
    selection = Selection(settings.store, settings.models, default, settings.allow_untrained)
    graphs = GraphCache(settings.store) if settings.cache else None
    load = partial(
        load_model, memory_arena=settings.memory_arena, graphs=graphs, providers=providers
    )
    store = Store(selection, load)
    cores = usable_cores()
    scheduler = Scheduler(settings.workers or cores.count, settings.queue_limit)
    limits = settings.image_limits
    batcher = open_batcher(settings.batch_max, settings.batch_window_ms, scheduler.workers)
    timings = Timings()
    measurer = Measurer(
        store,
        timings,
        settings.auto_resolutions,
        busy=lambda: scheduler.unfinished > 0,
        keep=settings.cache,
    )
    if settings.cache:
        measurer.recall()
    metrics = Metrics()
    tracing = open_tracing(settings)
    chooser = Chooser(
        store,
        timings,
        scheduler,
        metrics,
        resolutions=settings.auto_resolutions,
        defaults=parse_limits(settings.auto_budget),
        auto_by_default=auto_by_default,
        brownout=settings.brownout,
    )
    metrics.describe_models(model.card for model in store)
    rest(store)  # loading the default model takes 13 MB for a moment, its first run 10 MB
    return Gateway(
        settings=settings,
        cores=cores,
        store=store,
        scheduler=scheduler,
        classifier=Classifier(limits, settings.reduced_decode, batcher, timings),
        budget=ByteBudget(settings.max_inflight_bytes),
        lifecycle=Lifecycle(),
        metrics=metrics,
        ledger=Ledger(metrics, tracing),
        keys=read_keys(settings),
        reloading=asyncio.Lock(),
        measuring=asyncio.Lock(),
        untimed=asyncio.Event(),
        timings=timings,
        measurer=measurer,
        chooser=chooser,
        tracing=tracing,
    )


def open_tracing(settings: Settings) -> "Tracing | None":
    """What makes traces, if a collector for them is named.

    Raises:
        SettingError: OpenTelemetry is not installed.
    """
    if settings.otlp_endpoint is None:
        return None
    try:
        from app.tracing import Tracing  # of an optional extra
    except ModuleNotFoundError as error:
        raise SettingError(
            f"otlp_endpoint needs the module {error.name}, which is not installed; "
            "`pip install 'mobilenet-gateway[otel]'` brings it"
        ) from error
    return Tracing(settings.otlp_endpoint)


def rest(store: Store) -> None:
    """Give back what no work needs now, which takes some milliseconds."""
    for model in store:
        try:
            model.rest()
        except Exception as error:  # its card says more than its graph takes
            log.warning("%s keeps the memory of its runs: %s", model.name, error)
    memory.give_back_freed()


async def _gateway(request: Request) -> Gateway:
    gateway: Gateway = request.state.gateway
    return gateway


Current = Annotated[Gateway, Depends(_gateway)]
