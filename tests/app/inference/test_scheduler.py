"""Fair, bounded, and nothing is lost: the pool of threads, with jobs that wait for a word."""

import asyncio
import gc
import threading
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.errors import DamagedImage, Overloaded
from app.inference.scheduler import Scheduler, Ticket
from tests.processes import LIVELINESS_S


@contextmanager
def scheduling(workers: int = 1, queue_limit: int = 64) -> Iterator[Scheduler]:
    scheduler = Scheduler(workers, queue_limit)
    try:
        yield scheduler
    finally:
        scheduler.close(LIVELINESS_S)


class Blocker:
    """A job that keeps its worker until it is let go."""

    def __init__(self) -> None:
        self.began = threading.Event()
        self._go = threading.Event()

    def __call__(self, queue_ms: float) -> str:
        self.began.set()
        assert self._go.wait(LIVELINESS_S)
        return "blocker"

    def let_go(self) -> None:
        self._go.set()


async def blocked(scheduler: Scheduler) -> tuple[Blocker, Ticket[str]]:
    """Occupy the only worker."""
    blocker = Blocker()
    ticket = scheduler.submit([blocker])
    assert await asyncio.to_thread(blocker.began.wait, LIVELINESS_S)
    return blocker, ticket


def noting(notes: list[str], name: str) -> Callable[[float], str]:
    def job(_: float) -> str:
        notes.append(name)
        return name

    return job


def test_images_of_requests_take_turns() -> None:
    notes: list[str] = []

    async def run() -> None:
        with scheduling() as scheduler:
            blocker, first = await blocked(scheduler)
            large = scheduler.submit([noting(notes, f"large {n}") for n in range(4)])
            small = scheduler.submit([noting(notes, f"small {n}") for n in range(2)])
            single = scheduler.submit([noting(notes, "single")])
            blocker.let_go()
            for ticket in (first, large, small, single):
                await ticket

    asyncio.run(run())
    assert notes == ["large 0", "small 0", "single", "large 1", "small 1", "large 2", "large 3"]


@settings(deadline=None, max_examples=30)
@given(
    requests=st.lists(st.lists(st.booleans(), min_size=1, max_size=6), min_size=1, max_size=8),
    workers=st.integers(1, 4),
)
def test_results_come_in_the_order_of_their_jobs_and_every_permit_comes_back(
    requests: list[list[bool]], workers: int
) -> None:
    def make(number: int, fails: bool) -> Callable[[float], int]:
        def job(queue_ms: float) -> int:
            assert queue_ms >= 0
            if fails:
                raise DamagedImage(str(number))
            return number

        return job

    async def run() -> list[list[int | Exception]]:
        with scheduling(workers) as scheduler:
            tickets = [
                scheduler.submit([make(number, fails) for number, fails in enumerate(request)])
                for request in requests
            ]
            results = [await ticket for ticket in tickets]
            await settled(scheduler)
            return results

    for request, results in zip(requests, asyncio.run(run()), strict=True):
        said = [str(result) for result in results]
        assert said == [str(number) for number in range(len(request))]
        assert [isinstance(result, DamagedImage) for result in results] == request


def test_no_more_than_the_limit_waits_and_the_next_is_refused() -> None:
    async def run() -> None:
        with scheduling(queue_limit=3) as scheduler:
            blocker, first = await blocked(scheduler)
            waiting = [scheduler.submit([noting([], "a")] * images) for images in (1, 2)]
            assert (scheduler.waiting, scheduler.unfinished, scheduler.full) == (3, 4, True)
            with pytest.raises(Overloaded, match="Queue full: 3 of 3 images waiting"):
                scheduler.submit([noting([], "b")])
            blocker.let_go()
            for ticket in (first, *waiting):
                await ticket
            await settled(scheduler)
            assert not scheduler.full
            assert await scheduler.submit([noting([], "c")] * 4) == ["c"] * 4

    asyncio.run(run())


def test_a_request_that_fits_only_in_part_is_refused_whole() -> None:
    async def run() -> None:
        with scheduling(queue_limit=3) as scheduler:
            blocker, first = await blocked(scheduler)
            with pytest.raises(Overloaded):
                scheduler.submit([noting([], "a")] * 4)
            assert scheduler.unfinished == 1
            blocker.let_go()
            await first

    asyncio.run(run())


@settings(deadline=None, max_examples=20)
@given(images=st.integers(1, 20))
def test_an_abandoned_ticket_is_dropped_before_it_runs(images: int) -> None:
    notes: list[str] = []

    async def run() -> None:
        with scheduling() as scheduler:
            blocker, first = await blocked(scheduler)
            ticket = scheduler.submit([noting(notes, "dropped")] * images)
            last = scheduler.submit([noting(notes, "last")])
            ticket.abandon(DamagedImage("nobody waits"))
            with pytest.raises(DamagedImage):
                await ticket
            blocker.let_go()
            await first
            await last
            await settled(scheduler)

    asyncio.run(run())
    assert notes == ["last"]


def test_a_cancelled_wait_drops_the_ticket_and_lets_go_of_its_images() -> None:
    class Image:
        def __call__(self, queue_ms: float) -> None:
            raise AssertionError("dropped work has run")

    async def run() -> None:
        with scheduling() as scheduler:
            blocker, first = await blocked(scheduler)
            image = Image()
            held = weakref.ref(image)
            ticket = scheduler.submit([image])
            del image
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.01):
                    await ticket
            await asyncio.sleep(0)
            gc.collect()
            assert held() is None
            assert "started 0 of 1 images" in ticket.progress()
            blocker.let_go()
            await first
            await settled(scheduler)

    asyncio.run(run())


def test_a_failed_image_does_not_keep_its_pixels_alive() -> None:
    class Pixels:
        pass

    held: list[weakref.ref[Pixels]] = []

    def job(_: float) -> None:
        pixels = Pixels()
        held.append(weakref.ref(pixels))
        try:
            raise ValueError("decoder")
        except ValueError as error:
            raise DamagedImage("damaged") from error

    async def run() -> list[Exception | None]:
        with scheduling() as scheduler:
            return await scheduler.submit([job])

    gc.disable()
    try:
        [error] = asyncio.run(run())
        assert isinstance(error, DamagedImage)
        assert held[0]() is None
    finally:
        gc.enable()


def test_an_unexpected_error_ends_no_worker() -> None:
    def job(_: float) -> None:
        raise ZeroDivisionError

    async def run() -> None:
        with scheduling() as scheduler:
            [error] = await scheduler.submit([job])
            assert isinstance(error, ZeroDivisionError)
            assert await scheduler.submit([noting([], "next")]) == ["next"]

    asyncio.run(run())


def test_retry_after_follows_the_measured_service_time() -> None:
    now_s = 0.0

    def pass_time() -> None:
        nonlocal now_s
        now_s += 2

    both_at_work = threading.Barrier(2, action=pass_time, timeout=LIVELINESS_S)

    async def run() -> None:
        scheduler = Scheduler(2, 1000, clock=lambda: now_s)
        assert scheduler.overloaded().headers["Retry-After"] == "1"
        await scheduler.submit([lambda _: both_at_work.wait()] * 400)
        await settled(scheduler)
        assert scheduler.service_ms == pytest.approx(2000, rel=1e-3)
        blocker = Blocker()
        ticket = scheduler.submit([blocker] * 7)  # of 2 s on 2 workers
        assert scheduler.overloaded().headers["Retry-After"] == "7"
        blocker.let_go()
        await ticket
        scheduler.close(LIVELINESS_S)

    asyncio.run(run())


def test_the_service_time_follows_each_image_by_a_twentieth() -> None:
    now_s = 0.0

    def take(seconds: float) -> Callable[[float], None]:
        def job(_: float) -> None:
            nonlocal now_s
            now_s += seconds

        return job

    async def run() -> list[float]:
        scheduler = Scheduler(1, 64, clock=lambda: now_s)
        found = [scheduler.service_ms]
        for seconds in (2.01, 0.0):
            await scheduler.submit([take(seconds)])
            await settled(scheduler)
            found.append(scheduler.service_ms)
        scheduler.close(LIVELINESS_S)
        return found

    assert asyncio.run(run()) == pytest.approx([10.0, 110.0, 104.5])


def asking(scheduler: Scheduler, answers: list[bool]) -> Callable[[float], None]:
    return lambda _: answers.append(scheduler.take_all_cores())


async def ask_alone(scheduler: Scheduler, answers: list[bool], times: int) -> None:
    for _ in range(times):
        await scheduler.submit([asking(scheduler, answers)])
        await settled(scheduler)


def test_the_third_lone_image_one_after_another_may_use_all_cores() -> None:
    both_ask = threading.Barrier(2, timeout=LIVELINESS_S)

    async def run() -> list[bool]:
        answers: list[bool] = []

        def beside(_: float) -> None:
            both_ask.wait()
            answers.append(scheduler.take_all_cores())
            both_ask.wait()

        with scheduling(workers=2) as scheduler:
            await ask_alone(scheduler, answers, 5)
            await scheduler.submit([beside] * 2)
            await settled(scheduler)
            await ask_alone(scheduler, answers, 3)
        return answers

    first, two_images, after = [False, False, True, True, True], [False] * 2, [False, False, True]
    assert asyncio.run(run()) == [*first, *two_images, *after]


@pytest.mark.parametrize("workers", [1, 2])
def test_no_image_uses_all_cores_beside_another(workers: int) -> None:
    """Neither beside one in the queue nor beside one on a worker."""

    async def run() -> list[bool]:
        answers: list[bool] = []
        decoding, decoded = threading.Event(), threading.Event()

        def job(_: float) -> None:
            decoding.set()
            assert decoded.wait(LIVELINESS_S)
            answers.append(scheduler.take_all_cores())

        with scheduling(workers) as scheduler:
            await ask_alone(scheduler, answers, 4)
            first = scheduler.submit([job])
            assert await asyncio.to_thread(decoding.wait, LIVELINESS_S)
            blocker = Blocker()
            other = scheduler.submit([blocker])
            decoded.set()
            await first
            blocker.let_go()
            await other
        return answers

    assert asyncio.run(run()) == [False, False, True, True, False]


def test_the_time_on_all_cores_is_no_service_time() -> None:
    """It would promise a client of a full queue too early an end."""
    now_s = 0.0

    async def run() -> list[float]:
        def job(_: float) -> None:
            nonlocal now_s
            now_s += 0.0 if scheduler.take_all_cores() else 2.01

        scheduler = Scheduler(1, 64, clock=lambda: now_s)
        found = []
        for _ in range(4):
            await scheduler.submit([job])
            await settled(scheduler)
            found.append(scheduler.service_ms)
        await scheduler.submit([job] * 2)
        await settled(scheduler)
        scheduler.close(LIVELINESS_S)
        return [*found, scheduler.service_ms]

    alone, under_load = [110.0, 205.0, 205.0, 205.0], 380.9875  # a twentieth of each 2010 ms
    assert asyncio.run(run()) == pytest.approx([*alone, under_load])


@pytest.mark.parametrize(
    ("drain_s", "header"),
    [(0.0, "1"), (0.4, "1"), (1.0, "1"), (1.01, "2"), (6.999, "7"), (90.5, "91")],
)
def test_a_client_is_told_whole_seconds_that_are_not_too_few(drain_s: float, header: str) -> None:
    assert Overloaded("why", drain_s).headers["Retry-After"] == header


def test_close_finishes_what_is_queued() -> None:
    notes: list[str] = []

    async def run() -> None:
        scheduler = Scheduler(2, 64)
        tickets = [scheduler.submit([noting(notes, "done")] * 5) for _ in range(4)]
        scheduler.close(LIVELINESS_S)
        assert [await ticket for ticket in tickets] == [["done"] * 5] * 4
        assert scheduler.unfinished == 0

    asyncio.run(run())
    assert len(notes) == 20


def test_close_does_not_wait_for_ever() -> None:
    async def run() -> None:
        scheduler = Scheduler(1, 64)
        blocker, ticket = await blocked(scheduler)
        scheduler.close(timeout_s=0.01)
        assert scheduler.unfinished == 1
        blocker.let_go()
        await ticket

    asyncio.run(run())


async def settled(scheduler: Scheduler) -> None:
    """Wait until the workers have counted what they did."""
    async with asyncio.timeout(LIVELINESS_S):
        while scheduler.unfinished:
            await asyncio.sleep(0.001)
    assert scheduler.waiting == 0
