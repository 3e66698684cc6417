"""`model=auto`: the most accurate loaded variant that meets a request's budget at the current load.

The expected time of a request is

    queue + decoding + inference        medians, see `app.inference.timings`

Multiplied by the 95th percentile of the variant's recent ratio of actual to expected time, it is
compared with `max_latency_ms`. A variant without recent requests has a default ratio, so that one
which was too slow under load is tried again once its samples are old. A choice is reused for a
second as long as the queue allows it: alternating variants evict each other's weights from the CPU
caches, and each of them becomes slower.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from math import inf

from app.auto.brownout import Brownout, Load
from app.auto.choice import Choice, ChoiceNote, Demand, PredictQuery
from app.auto.limits import STATIC, explain, meets_all
from app.budget import Budget
from app.card.variant import Key, Variant, variants_of
from app.errors import ImpossibleBudget
from app.inference.scheduler import Scheduler
from app.inference.timings import Timings, Window
from app.model.head_model import HeadModel
from app.model.model import Model
from app.model.store import Store
from app.telemetry.metrics import Metrics

log = logging.getLogger(__name__)

REFRESH_S = 1.0  # between updates of the order of variants by time
STEP_RATIO = 0.9  # maximum time of a brown-out step relative to the previous step
QUANTILE = 0.95  # of the ratios of actual to expected time
DEFAULT_SPREAD = 1.3  # this quantile until it is known
HOLD_S = 1.0  # time for which a choice is reused
MAX_HELD = 64  # choices to reuse, one per kind of request
HTTP_MS = 0.5  # reading the head and writing the answer


class Chooser:
    """Chooses the model for every request; event loop only.

    `variants` has all loaded variants, without heads. Those of unknown accuracy, or with other
    classes than the default model, are never chosen. The candidates are the models of the last
    `reload`, so a model that the store is just dropping can still answer.
    """

    def __init__(
        self,
        store: Store,
        timings: Timings,
        scheduler: Scheduler,
        metrics: Metrics,
        *,
        resolutions: Sequence[int],
        defaults: Budget,
        brownout: bool = True,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._store = store
        self._timings = timings
        self._scheduler = scheduler
        self._metrics = metrics
        self._resolutions = tuple(resolutions)
        self._defaults = defaults
        self._clock = clock
        self._models = models_with_default_labels(store)
        self.variants = loaded_variants(store, self._resolutions)
        self._ordered: list[Variant] = []  # of known accuracy, most accurate first
        self._fastest: list[Variant] = []  # faster than every more accurate one
        self._steps: list[Variant] = []
        self._refreshed_s: float | None = None
        self._spread: dict[Key, Window] = {}
        self._held: dict[Hashable, tuple[Variant, float]] = {}
        self.brownout = Brownout(clock, self._on_step) if brownout else None

    def choose(self, query: PredictQuery, demand: Demand, deadline_ms: float) -> Choice:
        """The most accurate variant within the budget and the current step of the brown-out.

        If only the queue makes the budget impossible, the fastest variant answers late.

        Raises:
            ImpossibleBudget: impossible even with an empty queue; says what would be possible.
        """
        self._refresh()
        limits = query.or_else(self._defaults)
        candidates = self._candidates(limits, query.resolution)
        queue_ms = self._queue_ms(demand.images)
        step = self._update_brownout(queue_ms, deadline_ms)
        allowed = self._allowed(candidates, step, demand)
        chosen, reason = self._select(allowed, limits, demand, queue_ms)
        if step:
            reason += f", at step {step} of the brown-out"
        assert chosen.top1 is not None  # noqa: S101  candidates have one
        note = ChoiceNote(
            reason=reason,
            top1=chosen.top1.percent,
            top1_basis=chosen.top1.basis,
            expected_ms=round(self._expected_ms(chosen, demand) + queue_ms, 3),
            brownout_step=step,
        )
        self._metrics.auto_images.labels(chosen.model, str(chosen.resolution)).inc(demand.images)
        return Choice(self._models[chosen.model], chosen.resolution, note)

    def learn(self, choice: Choice, took_ms: float) -> None:
        """Record the actual time of an automatic choice, from the end of the body to the answer."""
        if choice.note is None or choice.note.expected_ms <= 0:
            return
        window = self._spread.setdefault(choice.key, Window())
        window.add(took_ms / choice.note.expected_ms, self._clock())

    def check_load(self, deadline_ms: float) -> None:
        """Update the brown-out without a request, so that it ends with the load."""
        if self.brownout and self.brownout.step and self._steps:
            self._refresh()
            self._update_brownout(self._queue_ms(1), deadline_ms)

    def replace(self, model: Model) -> None:
        """Answer with this model in place of the one of its name; called on any thread.

        Without it a reload of all models would keep their predecessors in memory.
        """
        before = self._models.get(model.name)
        if before is not None and before.card.labels == model.card.labels:
            self._models[model.name] = model

    async def reload(self, changed: set[str]) -> None:
        """Update the variants from the store; a millisecond per model, on another thread."""
        models = models_with_default_labels(self._store)
        self.variants = await asyncio.to_thread(loaded_variants, self._store, self._resolutions)
        self._models = models
        self._spread = {key: seen for key, seen in self._spread.items() if key[0] not in changed}
        self._held = {}
        self._refreshed_s = None

    def _refresh(self) -> None:
        """Sort the variants by accuracy and time, if the last time was long enough ago."""
        now_s = self._clock()
        if self._refreshed_s is not None and now_s - self._refreshed_s < REFRESH_S:
            return
        self._refreshed_s = now_s
        typical = Demand(1, self._timings.typical_bytes)
        known = [each for each in self.variants if each.top1 and each.model in self._models]
        times = {variant.key: self._expected_ms(variant, typical) for variant in known}
        self._ordered = sorted(
            known, key=lambda variant: (*variant.by_accuracy, times[variant.key], variant.madds)
        )
        self._fastest = successively_faster(self._ordered, times, 1.0)
        self._steps = successively_faster(self._ordered, times, STEP_RATIO)

    def _candidates(self, limits: Budget, resolution: int | None) -> list[Variant]:
        """Variants that meet all limits except latency, most accurate first."""
        static = {name: value for name, value in limits.limits().items() if name in STATIC}
        if self._fastest and not static and resolution is None:
            return self._fastest
        found = [
            variant
            for variant in self._ordered
            if resolution in (None, variant.resolution) and meets_all(static, variant)
        ]
        if not found:
            raise ImpossibleBudget(explain(self._ordered, static, resolution))
        return found

    def _allowed(self, candidates: list[Variant], step: int, demand: Demand) -> list[Variant]:
        """Candidates no slower than the current step, or else the fastest one."""
        if not step:
            return candidates
        max_ms = self._expected_ms(self._steps[step], demand) * 1.001
        allowed = [each for each in candidates if self._expected_ms(each, demand) <= max_ms]
        return allowed or [min(candidates, key=lambda each: self._expected_ms(each, demand))]

    def _select(
        self, allowed: list[Variant], limits: Budget, demand: Demand, queue_ms: float
    ) -> tuple[Variant, str]:
        """The most accurate variant within the latency limit, and the reason for the choice."""
        limit_ms = limits.max_latency_ms
        if limit_ms is None:
            return allowed[0], f"the most accurate of {len(allowed)} variants"
        limit = f"max_latency_ms={limit_ms:g}"
        if variant := self._within_latency(allowed, limits, demand, queue_ms):
            return variant, f"the most accurate of {len(allowed)} variants that meets {limit}"
        fastest = min(allowed, key=lambda each: self._expected_ms(each, demand))
        alone_ms = self._expected_ms(fastest, demand)
        if alone_ms > limit_ms:
            raise ImpossibleBudget(
                f"No loaded variant meets {limit} on this device. The fastest, "
                f"{fastest.name} with {_percent(fastest):g} % top-1, takes about {alone_ms:.1f} ms "
                "with an empty queue."
            )
        reason = f"the fastest of {len(allowed)} variants; the current load may exceed {limit}"
        return fastest, reason

    def _within_latency(
        self, allowed: list[Variant], limits: Budget, demand: Demand, queue_ms: float
    ) -> Variant | None:
        """The most accurate variant within the latency limit; a recent choice first."""
        limit_ms = limits.max_latency_ms or inf
        kind = (limits, demand.images, demand.image_bytes.bit_length())
        now_s = self._clock()
        held, until_s = self._held.get(kind, (None, 0.0))
        if (
            held in allowed
            and now_s < until_s
            and self._expected_ms(held, demand) + queue_ms <= limit_ms
        ):
            return held
        for variant in allowed:
            if self._p95_ms(variant, demand, queue_ms) <= limit_ms:
                if now_s >= until_s:
                    if len(self._held) >= MAX_HELD:
                        self._held.clear()
                    self._held[kind] = (variant, now_s + HOLD_S)
                return variant
        return None

    def _expected_ms(self, variant: Variant, demand: Demand) -> float:
        """The expected time of a request with an empty queue."""
        timings = self._timings
        each_ms = timings.decode_ms(demand.image_bytes, variant.resolution)
        each_ms += timings.inference_ms(variant)
        return HTTP_MS + each_ms * -(-demand.images // self._scheduler.workers)

    def _p95_ms(self, variant: Variant, demand: Demand, queue_ms: float) -> float:
        """The 95th percentile of the time of such requests."""
        window = self._spread.get(variant.key)
        spread = DEFAULT_SPREAD
        if window and window.is_current(self._clock()):
            spread = window.quantile(QUANTILE)
        return (self._expected_ms(variant, demand) + queue_ms) * spread

    def _queue_ms(self, images: int) -> float:
        """The expected time in the queue of the images of a new request."""
        scheduler = self._scheduler
        ahead = max(0, scheduler.unfinished + min(images, scheduler.workers) - scheduler.workers)
        return ahead * scheduler.service_ms / scheduler.workers

    def _update_brownout(self, queue_ms: float, deadline_ms: float) -> int:
        """Update the brown-out if it is due; returns the current step."""
        if self.brownout is None:
            return 0
        if self.brownout.due:
            scheduler, typical = self._scheduler, Demand(1, self._timings.typical_bytes)
            full = scheduler.waiting / scheduler.queue_limit
            self.brownout.update(
                Load(
                    arrived=scheduler.admitted,
                    pressure=max(queue_ms / deadline_ms, full),
                    workers=scheduler.workers,
                    service_ms=[self._expected_ms(step, typical) for step in self._steps],
                )
            )
        return min(self.brownout.step, len(self._steps) - 1)

    def _on_step(self, before: int, after: int) -> None:
        direction = "down" if after > before else "up"
        self._metrics.brownout_step.set(after)
        self._metrics.brownout_steps.labels(direction).inc()
        best = self._steps[after]
        log.warning(
            "brown-out %s to step %s of %s: auto answers with %s (%s %% top-1) or a faster model",
            direction, after, len(self._steps) - 1, best.name, _percent(best),
        )  # fmt: skip


def loaded_variants(models: Iterable[Model], resolutions: Sequence[int]) -> list[Variant]:
    """The variants of all models but heads, which are on the sessions of their bases."""
    return [
        variant
        for model in models
        if not isinstance(model, HeadModel)
        for variant in variants_of(model.card, model.file_bytes, resolutions)
    ]


def models_with_default_labels(store: Store) -> dict[str, Model]:
    """The models, by name, that have the same classes as the default model."""
    labels = store.get().card.labels
    same = {model.name: model for model in store if model.card.labels == labels}
    if others := [model.name for model in store if model.name not in same]:
        log.info(
            "auto never chooses %s: their classes differ from those of the default model, %s",
            ", ".join(others), store.default,
        )  # fmt: skip
    return same


def successively_faster(
    ordered: Sequence[Variant], times: Mapping[Key, float], ratio: float
) -> list[Variant]:
    """Of `ordered`, the first and each that takes less than `ratio` of the previous result."""
    result: list[Variant] = []
    for variant in ordered:
        if not result or times[variant.key] < ratio * times[result[-1].key]:
            result.append(variant)
    return result


def _percent(variant: Variant) -> float:
    return variant.top1.percent if variant.top1 else 0.0
