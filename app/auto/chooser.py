"""`model=auto`: the most accurate loaded variant that meets a request's budget at the current load.

What a request will take is expected as

    queue + decoding + inference        medians, see `app.inference.timings`

and compared with `max_latency_ms` after it is multiplied by how much more than expected nearly all
requests with that variant took lately. A variant that nobody asked for lately is taken at its word,
so one that was given up under load is tried again when its samples are old. A choice stands for a
second as long as the queue allows it: variants that take turns find each other's weights in the
caches, and each takes longer than it would alone.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from math import inf

from app.auto.brownout import Brownout, Load
from app.auto.choice import Choice, ChoiceNote, Demand, PredictQuery
from app.auto.limits import STATIC, explain, keeps
from app.budget import Budget
from app.card.variant import Key, Variant, variants_of
from app.errors import ImpossibleBudget
from app.inference.scheduler import Scheduler
from app.inference.timings import ENOUGH, FRESH_S, Timings, Window
from app.model.model import Model
from app.model.store import Store
from app.telemetry.metrics import Metrics

log = logging.getLogger(__name__)

REFRESH_S = 1.0  # the order of variants by time is looked at this often
A_STEP = 0.9  # a step of the brown-out takes at most this share of the time of the one before
NEARLY_ALL = 0.95
USUAL_SPREAD = 1.3  # how much longer than expected nearly all take, until it is known
HOLD_S = 1.0  # a choice stands this long
MOST_HELD = 64  # kinds of requests
HTTP_MS = 0.5  # reading the head and writing the answer


class Chooser:
    """Chooses the model for every request; event loop only.

    `variants` has all that are loaded; what has no accuracy is never chosen, nor what tells other
    classes apart than the default model. It chooses among the models that it was told of last, so
    that one which a reload drops just now still answers.
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
        self._models = alike(store)
        self.variants = loaded_variants(store, self._resolutions)
        self._ordered: list[Variant] = []  # those of known accuracy, most accurate first
        self._fastest: list[Variant] = []  # those that no more accurate one outruns
        self._steps: list[Variant] = []
        self._refreshed_s: float | None = None
        self._spread: dict[Key, Window] = {}
        self._held: dict[Hashable, tuple[Variant, float]] = {}
        self.brownout = Brownout(clock, self._stepped) if brownout else None

    def choose(self, query: PredictQuery, demand: Demand, deadline_ms: float) -> Choice:
        """The most accurate variant within the budget, not above the step of the brown-out.

        If the budget could be kept but for what waits already, the fastest one answers, late.

        Raises:
            ImpossibleBudget: not even with nothing to wait for; says what would be possible.
        """
        self._refresh()
        limits = query.or_else(self._defaults)
        candidates = self._candidates(limits, query.resolution)
        queue_ms = self._queue_ms(demand.images)
        step = self._brown_out(queue_ms, deadline_ms)
        allowed = self._allowed(candidates, step, demand)
        chosen, reason = self._first_in_time(allowed, limits, demand, queue_ms)
        note = self._note(chosen, reason, self._expected_ms(chosen, demand) + queue_ms, step)
        self._metrics.auto_images.labels(chosen.model, str(chosen.resolution)).inc(demand.images)
        return Choice(self._models[chosen.model], chosen.resolution, note)

    def learn(self, choice: Choice, took_ms: float) -> None:
        """Take notice of what an automatic choice really took, from the body to the answer."""
        if choice.note is None or choice.note.expected_ms <= 0:
            return
        window = self._spread.setdefault(choice.key, Window())
        window.add(took_ms / choice.note.expected_ms, self._clock())

    def check_load(self, deadline_ms: float) -> None:
        """Look at the load even without requests, so that a brown-out ends with it."""
        if self.brownout and self.brownout.step and self._steps:
            self._refresh()
            self._brown_out(self._queue_ms(1), deadline_ms)

    async def reload(self, changed: set[str]) -> None:
        """Look at the store again; takes a millisecond a model, on another thread."""
        models = alike(self._store)
        self.variants = await asyncio.to_thread(loaded_variants, self._store, self._resolutions)
        self._models = models
        self._spread = {key: seen for key, seen in self._spread.items() if key[0] not in changed}
        self._held = {}
        self._refreshed_s = None

    def _refresh(self) -> None:
        """Put the variants in order by accuracy and time, now and then."""
        now_s = self._clock()
        if self._refreshed_s is not None and now_s - self._refreshed_s < REFRESH_S:
            return
        self._refreshed_s = now_s
        usual = Demand(1, self._timings.usual_bytes)
        known = [each for each in self.variants if each.top1 and each.model in self._models]
        times = {variant.key: self._expected_ms(variant, usual) for variant in known}
        self._ordered = sorted(
            known, key=lambda variant: (*variant.by_accuracy, times[variant.key], variant.madds)
        )
        self._fastest = faster(self._ordered, times, 1.0)
        self._steps = faster(self._ordered, times, A_STEP)

    def _candidates(self, limits: Budget, resolution: int | None) -> list[Variant]:
        """Variants within all limits but that of time, most accurate first."""
        static = [(name, value) for name, value in limits.limits().items() if name in STATIC]
        if self._fastest and not static and resolution is None:
            return self._fastest
        found = [
            variant
            for variant in self._ordered
            if resolution in (None, variant.resolution)
            and all(keeps(name, value, variant) for name, value in static)
        ]
        if not found:
            raise ImpossibleBudget(explain(self._ordered, dict(static), resolution))
        return found

    def _allowed(self, candidates: list[Variant], step: int, demand: Demand) -> list[Variant]:
        """Candidates no slower than the present step; at least the fastest of them."""
        if not step:
            return candidates
        most_ms = self._expected_ms(self._steps[step], demand) * 1.001
        allowed = [each for each in candidates if self._expected_ms(each, demand) <= most_ms]
        return allowed or [min(candidates, key=lambda each: self._expected_ms(each, demand))]

    def _first_in_time(
        self, allowed: list[Variant], limits: Budget, demand: Demand, queue_ms: float
    ) -> tuple[Variant, str]:
        """The most accurate one that keeps the time, and why it was it."""
        limit_ms = limits.max_latency_ms
        if limit_ms is None:
            return allowed[0], f"the most accurate of {len(allowed)} variants"
        if variant := self._sure(allowed, limits, demand, queue_ms):
            return variant, (
                f"the most accurate of {len(allowed)} variants that meets "
                f"max_latency_ms={limit_ms:g}"
            )
        fastest = min(allowed, key=lambda each: self._expected_ms(each, demand))
        alone_ms = self._expected_ms(fastest, demand)
        if alone_ms > limit_ms:
            raise ImpossibleBudget(
                f"No loaded variant meets max_latency_ms={limit_ms:g} on this device. The fastest, "
                f"{fastest.name} with {_percent(fastest):g} % top-1, takes about {alone_ms:.1f} ms "
                "with an empty queue."
            )
        return fastest, (
            f"the fastest of {len(allowed)} variants: max_latency_ms={limit_ms:g} is not sure to "
            f"be kept at the present load"
        )

    def _sure(
        self, allowed: list[Variant], limits: Budget, demand: Demand, queue_ms: float
    ) -> Variant | None:
        """The most accurate one that is sure to keep the time; the same for a while."""
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
            if self._surely_ms(variant, demand, queue_ms) <= limit_ms:
                if now_s >= until_s:
                    if len(self._held) >= MOST_HELD:
                        self._held.clear()
                    self._held[kind] = (variant, now_s + HOLD_S)
                return variant
        return None

    def _expected_ms(self, variant: Variant, demand: Demand) -> float:
        """What nothing else to do would leave of the time of a request."""
        timings = self._timings
        each_ms = timings.decode_ms(demand.image_bytes, variant.resolution)
        each_ms += timings.inference_ms(variant)
        return HTTP_MS + each_ms * -(-demand.images // self._scheduler.workers)

    def _surely_ms(self, variant: Variant, demand: Demand, queue_ms: float) -> float:
        """What nearly all such requests take at most."""
        window = self._spread.get(variant.key)
        fresh = window is not None and self._clock() - window.last_s < FRESH_S
        spread = (
            window.quantile(NEARLY_ALL)
            if window is not None and fresh and len(window) >= ENOUGH
            else USUAL_SPREAD
        )
        return (self._expected_ms(variant, demand) + queue_ms) * spread

    def _queue_ms(self, images: int) -> float:
        """How long the images of a new request will wait for a worker."""
        scheduler = self._scheduler
        ahead = max(0, scheduler.unfinished + min(images, scheduler.workers) - scheduler.workers)
        return ahead * scheduler.service_ms / scheduler.workers

    def _brown_out(self, queue_ms: float, deadline_ms: float) -> int:
        """The present step."""
        if self.brownout is None:
            return 0
        if self.brownout.due:
            scheduler, usual = self._scheduler, Demand(1, self._timings.usual_bytes)
            full = scheduler.waiting / scheduler.queue_limit
            self.brownout.look(
                Load(
                    arrived=scheduler.admitted,
                    pressure=max(queue_ms / deadline_ms, full),
                    workers=scheduler.workers,
                    service_ms=[self._expected_ms(step, usual) for step in self._steps],
                )
            )
        return min(self.brownout.step, len(self._steps) - 1)

    def _stepped(self, before: int, after: int) -> None:
        way = "down" if after > before else "up"
        self._metrics.brownout_step.set(after)
        self._metrics.brownout_steps.labels(way).inc()
        most = self._steps[after]
        log.warning(
            "brown-out %s to step %s of %s: auto answers with %s (%s %% top-1) at most",
            way, after, len(self._steps) - 1, most.name, _percent(most),
        )  # fmt: skip

    def _note(self, chosen: Variant, reason: str, expected_ms: float, step: int) -> ChoiceNote:
        if step:
            reason += f", at step {step} of the brown-out"
        assert chosen.top1 is not None  # noqa: S101  others are no candidates
        return ChoiceNote(
            reason=reason,
            top1=chosen.top1.percent,
            top1_basis=chosen.top1.basis,
            expected_ms=round(expected_ms, 3),
            brownout_step=step,
        )


def loaded_variants(models: Iterable[Model], resolutions: Iterable[int]) -> list[Variant]:
    """The variants of all loaded models."""
    sides = tuple(resolutions)
    return [
        variant for model in models for variant in variants_of(model.card, model.file_bytes, sides)
    ]


def alike(store: Store) -> dict[str, Model]:
    """The models, by name, that tell the same classes apart as the default one."""
    labels = store.get().card.labels
    found = {model.name: model for model in store if model.card.labels == labels}
    if others := [model.name for model in store if model.name not in found]:
        log.info(
            "auto never chooses %s: the classes are not those of the default model, %s",
            ", ".join(others), store.default,
        )  # fmt: skip
    return found


def faster(ordered: Sequence[Variant], times: Mapping[Key, float], share: float) -> list[Variant]:
    """Of variants in order, the first and each that takes less than `share` of the last taken."""
    found: list[Variant] = []
    for variant in ordered:
        if not found or times[variant.key] < share * times[found[-1].key]:
            found.append(variant)
    return found


def _percent(variant: Variant) -> float:
    return variant.top1.percent if variant.top1 else 0.0
