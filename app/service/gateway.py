"""The service: everything that lives as long as the process, composed from the settings."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from app.aliases import check_aliases, parse_aliases
from app.auto.chooser import Chooser
from app.budget import parse_budget
from app.errors import SettingError
from app.explain.classification import classification
from app.explain.linear_heads import LinearHeads
from app.explain.query import ExtraQuery
from app.images import pillow_settings
from app.images.decode_memory import DecodeMemory
from app.images.helper_process import HelperLimits, HelperProcess
from app.images.limits import ImageLimits
from app.inference.batching import open_batcher
from app.inference.classify import Classifier
from app.inference.measurer import Measurer
from app.inference.results import ImageResult
from app.inference.scheduler import Scheduler
from app.inference.timings import Timings
from app.model import runtime
from app.model.graph_cache import GraphCache, open_session
from app.model.model import Model, load_model
from app.model.providers import CPU_ONLY, choose
from app.model.reloadable_store import ReloadableStore
from app.model.store_folder import AUTO, Selection
from app.model.wide_session import WideSession
from app.service.auth import Keys, read_keys
from app.service.body_quota import BodyQuota
from app.service.lifecycle import Lifecycle
from app.service.parse_turns import ParseTurns
from app.service.reload import Reloader
from app.settings import Settings
from app.system.cores import Cores, usable_cores, whole_cores
from app.system.cpu import int8_obstacle
from app.telemetry.metrics import Metrics
from app.telemetry.request_log import RequestLog

if TYPE_CHECKING:
    from app.capture.folder import CaptureFolder
    from app.capture.writer import CaptureWriter
    from app.telemetry.tracing import Tracing


@dataclass(frozen=True, slots=True)
class Gateway:
    """The running service: settings, models, threads."""

    settings: Settings
    cores: Cores
    store: ReloadableStore
    scheduler: Scheduler
    classifier: Classifier
    helper: HelperProcess
    body_quota: BodyQuota
    parse_turns: ParseTurns
    lifecycle: Lifecycle
    metrics: Metrics
    request_log: RequestLog
    keys: Keys
    timings: Timings
    measurer: Measurer
    chooser: Chooser
    reloader: Reloader
    wide_session: WideSession
    classification: Callable[[Model, ExtraQuery], Callable[..., ImageResult]]
    auto_by_default: bool  # whether `auto` is the default model
    tracing: "Tracing | None" = None
    capture_writer: "CaptureWriter | None" = None

    @property
    def captures(self) -> "CaptureFolder | None":
        """The kept images, if the settings ask for them."""
        return self.capture_writer.folder if self.capture_writer else None

    @property
    def default_model(self) -> str:
        """The model for requests that name none: a loaded model, or `auto`."""
        return AUTO if self.auto_by_default else self.store.default

    @property
    def default_reason(self) -> str:
        """Why it is that one."""
        return "default_model is auto" if self.auto_by_default else self.store.default_reason

    def current_metrics(self) -> Metrics:
        """The metrics, with those of all answered and in-flight requests."""
        self.request_log.write()
        self.metrics.describe_models(model.card for model in self.store if model.state == "loaded")
        helper_queue = self.scheduler.helper_queue
        self.metrics.queue_depth.set(self.scheduler.waiting + helper_queue.waiting)
        self.metrics.permits.set(self.scheduler.unfinished + helper_queue.unfinished)
        self.metrics.body_bytes.set(self.body_quota.held_bytes)
        self.metrics.lone_image_threads.set(self.wide_session.threads)
        return self.metrics

    def close(self) -> None:
        self.measurer.stop()
        self.helper.close()
        self.scheduler.close()
        if self.capture_writer:
            self.capture_writer.close()
        self.request_log.write()
        if self.tracing:
            self.tracing.close()


def open_gateway(settings: Settings) -> Gateway:
    """Load and warm up the models, then start the workers.

    Raises:
        SettingError: the settings require a provider that this onnxruntime lacks, or traces
            although OpenTelemetry is not installed, or captures in a folder that cannot be used.
        ModelFileError: a model cannot be served; the text names the file and the reason.
    """
    pillow_settings.configure()
    providers = choose(settings.providers, runtime.built_in_providers())
    auto_by_default = settings.default_model == AUTO
    selection = Selection(
        settings.store,
        settings.models,
        default="" if auto_by_default else settings.default_model or None,
        allow_untrained=settings.allow_untrained,
        both_forms=settings.both_forms,
        int8_obstacle=providers.int8_obstacle() or int8_obstacle(),
        heads=settings.heads,
        aliases=parse_aliases(settings.aliases),
    )
    graphs = GraphCache(settings.store) if settings.cache else None
    load = partial(
        load_model, memory_arena=settings.memory_arena, graphs=graphs, providers=providers
    )
    store = ReloadableStore(selection, load)
    check_aliases(selection.aliases, [model.name for model in store], reserved=[AUTO])
    cores = usable_cores()
    limits = ImageLimits.from_settings(settings)
    helper = HelperProcess(
        limits,
        HelperLimits(settings.helper_cpu_s, settings.helper_memory_bytes, settings.max_body_bytes),
    )
    scheduler = Scheduler(
        settings.workers or cores.count, settings.queue_limit, on_helper_end=helper.stop
    )
    decode_memory = DecodeMemory(settings.max_decode_bytes)
    batcher = open_batcher(settings.batch_max, settings.batch_window_ms, scheduler.workers)
    timings = Timings()
    measurer = Measurer(
        store,
        timings,
        settings.auto_resolutions,
        busy=lambda: scheduler.unfinished > 0,
        store_results=settings.cache,
    )
    if settings.cache:
        measurer.load_results()
    wide_threads = settings.lone_image_threads or min(scheduler.workers, whole_cores())
    wide_session = WideSession(
        store,
        # `auto` has no default model; a batch has its own way to use a device
        1 if auto_by_default or batcher else wide_threads,
        partial(
            open_session,
            memory_arena=settings.memory_arena,
            graphs=graphs,
            providers=CPU_ONLY,
            threads=wide_threads,
        ),
    )
    metrics = Metrics()
    metrics.workers.set(scheduler.workers)
    classifier, capture_writer = open_classifier(
        settings,
        metrics,
        Classifier(
            limits,
            settings.reduced_decode,
            batcher,
            timings,
            decode_memory,
            helper,
            scheduler.take_all_cores,
        ),
    )
    tracing = open_tracing(settings)
    chooser = Chooser(
        store,
        timings,
        scheduler,
        metrics,
        resolutions=settings.auto_resolutions,
        defaults=parse_budget(settings.auto_budget),
        brownout=settings.brownout,
    )
    store.release_memory()  # loading needs 13 MB temporarily, a run 10 MB
    return Gateway(
        settings=settings,
        cores=cores,
        store=store,
        scheduler=scheduler,
        classifier=classifier,
        helper=helper,
        body_quota=BodyQuota(settings.max_inflight_bytes, settings.max_body_bytes),
        parse_turns=ParseTurns(),
        lifecycle=Lifecycle(),
        metrics=metrics,
        request_log=RequestLog(metrics, tracing),
        keys=read_keys(settings),
        timings=timings,
        measurer=measurer,
        chooser=chooser,
        reloader=Reloader(store, timings, chooser),
        wide_session=wide_session,
        classification=partial(classification, classifier, store, LinearHeads()),
        auto_by_default=auto_by_default,
        tracing=tracing,
        capture_writer=capture_writer,
    )


def open_classifier(
    settings: Settings, metrics: Metrics, plain: Classifier
) -> "tuple[Classifier, CaptureWriter | None]":
    """The classifier, and what keeps images for it if the settings ask for that.

    Raises:
        SettingError: the folder cannot be used.
    """
    if settings.capture is None:
        return plain, None
    from app.capture.classifier import capturing  # not loaded where nothing is kept
    from app.capture.rule import CaptureRule
    from app.capture.writer import open_writer

    writer = open_writer(settings.capture, settings, metrics.captures)
    return capturing(plain, CaptureRule.from_settings(settings), writer), writer


def open_tracing(settings: Settings) -> "Tracing | None":
    """Open the exporter of traces, if the settings name a collector.

    Raises:
        SettingError: OpenTelemetry is not installed.
    """
    if settings.otlp_endpoint is None:
        return None
    try:
        from app.telemetry.tracing import Tracing  # of an optional extra
    except ModuleNotFoundError as error:
        raise SettingError(
            f"otlp_endpoint needs the module {error.name}, which is not installed. "
            "In a checkout, install it with `pip install '.[otel]'`."
        ) from error
    return Tracing(settings.otlp_endpoint)
