"""What lives as long as the service runs, put together from the settings."""

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from app.auto.chooser import Chooser
from app.auto.limits import parse_limits
from app.errors import SettingError
from app.images.decode_memory import Room
from app.inference.batching import open_batcher
from app.inference.classify import Classifier
from app.inference.measurer import Measurer
from app.inference.scheduler import Scheduler
from app.inference.timings import Timings
from app.model import runtime
from app.model.graph_cache import GraphCache
from app.model.model import load_model
from app.model.providers import choose
from app.model.store import AUTO, Selection, Store
from app.service.auth import Keys, read_keys
from app.service.body_quota import ByteBudget
from app.service.lifecycle import Lifecycle
from app.service.reload import Roster
from app.settings import Settings
from app.system.cores import Cores, usable_cores
from app.telemetry.metrics import Metrics
from app.telemetry.request_log import Ledger

if TYPE_CHECKING:
    from app.telemetry.tracing import Tracing


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
    timings: Timings
    measurer: Measurer
    chooser: Chooser
    roster: Roster
    tracing: "Tracing | None" = None

    @property
    def default_model(self) -> str:
        """What answers when a request names nothing: a loaded model, or `auto`."""
        return AUTO if self.settings.default_model == AUTO else self.store.default

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
    limits, room = settings.image_limits, Room(settings.max_decode_bytes)
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
    store.rest()  # loading the default model takes 13 MB for a moment, its first run 10 MB
    return Gateway(
        settings=settings,
        cores=cores,
        store=store,
        scheduler=scheduler,
        classifier=Classifier(limits, settings.reduced_decode, batcher, timings, room),
        budget=ByteBudget(settings.max_inflight_bytes),
        lifecycle=Lifecycle(),
        metrics=metrics,
        ledger=Ledger(metrics, tracing),
        keys=read_keys(settings),
        timings=timings,
        measurer=measurer,
        chooser=chooser,
        roster=Roster(store, metrics, timings, chooser),
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
        from app.telemetry.tracing import Tracing  # of an optional extra
    except ModuleNotFoundError as error:
        raise SettingError(
            f"otlp_endpoint needs the module {error.name}, which is not installed; "
            "`pip install '.[otel]'` in a checkout brings it"
        ) from error
    return Tracing(settings.otlp_endpoint)
