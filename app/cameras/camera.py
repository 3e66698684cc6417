"""One camera: frames arrive, the newest is looked at, events come out."""

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from app.cameras.broadcast import Message
from app.cameras.change_gate import ChangeGate
from app.cameras.counters import Counters
from app.cameras.event import Event, new_id
from app.cameras.frame_turns import FrameTurns
from app.cameras.frames.frame import Frame
from app.cameras.frames.zone import bounds
from app.cameras.label_rule import Change, LabelRule, RuleSettings
from app.cameras.look import Look, Looked
from app.cameras.settings import CameraSettings
from app.cameras.sources.backoff import Backoff
from app.cameras.sources.source import Source, SourceError
from app.cameras.status import CameraStatus
from app.errors import RequestError
from app.inference.classify import Classifier
from app.inference.scheduler import Scheduler
from app.model.model import Model
from app.model.store import Store

TICK_S = 0.25  # between looks at the clock while no frame arrives
FASTER = 1.1  # than `frames_per_s`, so that a camera of just this rate loses no frame to jitter
DECISION_FRAMES = 4  # times `in_a_row`: after so many frames without a decision the gate closes
LOG_INTERVAL_S = 60.0  # between two lines of a kind about the same camera
INTERNAL = "Internal error."

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Means:
    """What all cameras share."""

    store: Store
    scheduler: Scheduler
    classifier: Classifier
    turns: FrameTurns
    send: Callable[[Message], None]


class SeldomLog:
    """Keeps a camera that comes and goes from filling the log."""

    def __init__(self) -> None:
        self._due = 0.0

    def due(self) -> bool:
        """Whether to write a line now."""
        now = time.monotonic()
        if now < self._due:
            return False
        self._due = now + LOG_INTERVAL_S
        return True


class Camera:
    """Receives and looks until it is cancelled; event loop only."""

    def __init__(self, name: str, settings: CameraSettings, source: Source, means: Means) -> None:
        self.name = name
        self.newest: Frame | None = None
        self._settings, self._source, self._means = settings, source, means
        self._zone = bounds(settings.zone)
        self._gate = ChangeGate(settings.zone) if settings.change_gate else None
        self._rule = LabelRule(
            RuleSettings(
                settings.start_probability,
                settings.end_probability,
                settings.in_a_row,
                settings.minimum_s,
                settings.cool_down_s,
                frozenset(settings.labels),
            )
        )
        self._counters = Counters()
        self._waiting: Frame | None = None
        self._arrived = asyncio.Event()
        self._connected = False
        self._connect_log, self._disconnect_log = SeldomLog(), SeldomLog()
        self._source_error: str | None = "Not connected yet."
        self._look_error: str | None = None
        self._model: Model | None = None  # of the last inference
        self._inferred_at = 0.0
        self._followed_at = 0.0
        self._undecided_frames = 0
        self._sent: tuple[object, ...] = ()
        self._since: datetime | None = None  # when the present label started

    async def run(self) -> None:
        """Receive and look, until cancelled."""
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._receive())
                group.create_task(self._look())
        finally:
            await self._source.close()

    def status(self) -> CameraStatus:
        present, counters = self._rule.present, self._counters
        return CameraStatus(
            name=self.name,
            source=self._source.status,
            model=self._model.name if self._model else None,
            zone=tuple(self._settings.zone),
            connected=self._connected,
            error=self._source_error or self._look_error,
            label=present.label if present else None,
            probability=present.probability if present else None,
            since=self._since if present else None,
            frames_per_s=round(counters.looks_per_s, 2),
            frame_age_ms=round(self.newest.age_s * 1000, 1) if self.newest else None,
            stale_after_ms=self._patience_s * 1000,
            frames_seen=counters.seen,
            frames_unchanged=counters.unchanged,
            frames_dropped=counters.dropped,
            frames_failed=counters.failed,
            reconnects=counters.reconnects,
        )

    def newest_jpeg(self) -> bytes | None:
        """The newest frame as JPEG, turned; None before the first one."""
        return self.newest.content.jpeg(self._settings.rotation) if self.newest else None

    async def _receive(self) -> None:
        """Connect again and again, whatever goes wrong."""
        backoff = Backoff()
        while True:
            try:
                async with aclosing(self._watched()) as frames:
                    async for frame in frames:
                        if not self._connected:
                            self._connect()
                        if frame is not None:
                            backoff.reset()
                            self._put(frame)
                reason = "The source ended."
            except SourceError as error:
                reason = str(error)
            except TimeoutError:
                reason = f"No frame for {self._patience_s:g} s."
            except Exception as error:  # a fault of this program or a library; no traceback, which
                # might hold an address with its password
                reason = f"Internal error ({type(error).__name__})."
                if reason != self._source_error:  # not again with each attempt
                    log.error("Camera %s: unexpected %s", self.name, type(error).__name__)
            self._disconnect(reason)
            await asyncio.sleep(backoff.pause_s())
            self._counters.reconnects += 1

    @property
    def _patience_s(self) -> float:
        return self._settings.silence_s + self._settings.poll_s

    async def _watched(self) -> AsyncGenerator[Frame | None, None]:
        """The frames of the source; raises `TimeoutError` when it stalls."""
        patience_s = self._patience_s + self._source.opening_s
        async with aclosing(self._source.frames()) as frames:
            while True:
                async with asyncio.timeout(patience_s):
                    try:
                        frame = await anext(frames)
                    except StopAsyncIteration:
                        return
                patience_s = self._patience_s
                yield frame

    def _put(self, frame: Frame) -> None:
        """Let the newest frame wait, in place of an older one."""
        self._counters.seen += 1 + frame.replaced
        self._counters.dropped += frame.replaced + (self._waiting is not None)
        self._waiting = self.newest = frame
        self._arrived.set()

    def _connect(self) -> None:
        self._connected, self._source_error = True, None
        if self._connect_log.due():
            log.info("Camera %s: connected to %s.", self.name, self._source.status.address)
        self._tell()

    def _disconnect(self, reason: str) -> None:
        if (self._connected or reason != self._source_error) and self._disconnect_log.due():
            log.warning("Camera %s: %s", self.name, reason)
        self._connected, self._source_error = False, reason
        self._tell()

    async def _look(self) -> None:
        """Look at the newest frame, at most `frames_per_s` times a second."""
        interval_s, due = 1 / (self._settings.looks_per_s * FASTER), 0.0
        while True:
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            if not await self._await_frame():
                self._tell_changes(self._rule.wait(time.monotonic()))
                continue
            async with self._means.turns.turn():
                frame, self._waiting = self._waiting, None
                assert frame is not None  # noqa: S101  only newer ones take its place
                self._arrived.clear()
                due = time.monotonic() + interval_s
                await self._look_at(frame)

    async def _await_frame(self) -> bool:
        try:
            async with asyncio.timeout(TICK_S):
                await self._arrived.wait()
        except TimeoutError:
            return False
        return True

    async def _look_at(self, frame: Frame) -> None:
        self._counters.look()
        try:
            model = self._means.store.get(self._settings.model)
            look = self._plan(frame, model)
            [outcome] = await self._means.scheduler.submit([look])
            if isinstance(outcome, Exception):
                raise outcome
        except RequestError as error:
            self._counters.failed += 1
            self._look_error = error.detail
        except Exception:
            self._counters.failed += 1
            if self._look_error != INTERNAL:  # not again with each frame
                log.exception("Camera %s: cannot classify", self.name)
            self._look_error = INTERNAL
        else:
            self._look_error = None
            self._take(frame, model, outcome)
        self._tell()

    def _plan(self, frame: Frame, model: Model) -> Look:
        settings, now = self._settings, time.monotonic()
        due = bool(settings.recheck_s) and now - self._inferred_at >= settings.recheck_s
        undecided = (
            self._rule.undecided and self._undecided_frames < DECISION_FRAMES * settings.in_a_row
        )
        present = self._rule.present
        return Look(
            classifier=self._means.classifier,
            frame=frame,
            model=model,
            zone=self._zone,
            rotation=settings.rotation,
            gate=self._gate,
            forced=due or undecided or model is not self._model,
            present=present.label if present else None,
        )

    def _take(self, frame: Frame, model: Model, looked: Looked) -> None:
        """Let gate and rule know what a look has found."""
        now = time.monotonic()
        if looked.observation is None:
            self._counters.unchanged += 1
            if self._gate is not None and looked.grey is not None:
                self._gate.follow(looked.grey, now - self._followed_at)
            self._followed_at = now
            self._tell_changes(self._rule.wait(frame.at))
            return
        self._model, self._inferred_at, self._followed_at = model, now, now
        if self._gate is not None and looked.grey is not None:
            self._gate.keep(looked.grey)
        self._tell_changes(self._rule.observe(looked.observation, frame.at))
        self._undecided_frames = self._undecided_frames + 1 if self._rule.undecided else 0

    def _tell_changes(self, changes: list[Change]) -> None:
        for change in changes:
            at = _utc(change.at)
            if change.state == "start" or self._since is None:
                self._since = _utc(change.started_at)
            event = Event(
                id=new_id(at),
                camera=self.name,
                model=self._model.name if self._model else "",
                label=change.label,
                state=change.state,
                probability=change.probability,
                started_at=self._since,
                ended_at=at if change.state == "end" else None,
            )
            log.info("Camera %s: %s %s", self.name, event.state, event.label)
            self._means.send(event)
        if changes:
            self._tell()

    def _tell(self) -> None:
        """Send the status if something changed that is more than a counter."""
        present = self._rule.present
        shown = (self._connected, self._source_error, self._look_error, present, self._model)
        if shown != self._sent:
            self._sent = shown
            self._means.send(self.status())


def _utc(monotonic_s: float) -> datetime:
    """The time of day of a moment of the steady clock."""
    return datetime.now(UTC) - timedelta(seconds=time.monotonic() - monotonic_s)
