"""What `make bench-auto` measures over HTTP: budgets, overload, and a resolution that is new."""

import json
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hdrh.histogram import HdrHistogram  # type: ignore[import-untyped]  # has no types

from loadtest.bench.rounds import PATH, BodyFile
from loadtest.host.server import HOST, Server, start_auto
from loadtest.load.open_loop import OpenLoop, run_open_loop
from loadtest.load.wrk import run_wrk

LOAD = 0.4  # of what the most accurate variant could carry, for the budget
FASTER = 0.85  # a rung of the ladder takes at most this share of the time of the one above
RUNGS = 5
BETWEEN = 0.6  # where the budget lies between what two neighbours took
OVERLOAD = 3
DEADLINE_MS = 100
NEW_SIDES = (256, 288, 320, 352, 384, 416)
CAPACITY_S = 4


@dataclass(frozen=True, slots=True)
class Rung:
    """A variant under the load, named by the client."""

    name: str
    top1: float
    loop: OpenLoop


@dataclass(frozen=True, slots=True)
class BudgetStudy:
    """`auto` under a latency budget, and each more accurate variant beside it at the same load."""

    requests_per_s: float
    budget_ms: float
    auto: OpenLoop
    chosen: dict[str, int]  # images by variant
    accuracies: dict[str, float]  # percent, of all variants
    rungs: list[Rung]

    @property
    def kept(self) -> bool:
        return self.auto.p95_ms <= self.budget_ms

    @property
    def top1(self) -> float:
        """Mean accuracy of what answered."""
        images = sum(self.chosen.values())
        total = sum(count * self.accuracies[name] for name, count in self.chosen.items())
        return total / max(images, 1)

    @property
    def more_accurate(self) -> list[Rung]:
        """The rungs that are more accurate than what answered most."""
        most = max(self.chosen, key=lambda name: self.chosen[name])
        return [rung for rung in self.rungs if rung.top1 > self.accuracies[most]]


@dataclass(frozen=True, slots=True)
class Overload:
    """Three times what the most accurate variant carries, with a deadline for each request."""

    capacity_per_s: float
    deadline_ms: float
    loops: dict[str, OpenLoop]  # by "on" and "off"
    in_time: dict[str, float]  # share of the requests that were answered within the deadline
    chosen: dict[str, dict[str, int]]


@dataclass(frozen=True, slots=True)
class NewResolution:
    """Requests at one resolution, without and with others that come at one never used before."""

    requests_per_s: float
    alone: OpenLoop
    beside: OpenLoop
    first_ms: dict[int, float]  # inference of the first request at each side
    second_ms: dict[int, float]

    @property
    def added_p99_ms(self) -> float:
        return self.beside.p99_ms - self.alone.p99_ms


def study_budget(
    store: Path, log: Path, body: BodyFile, requests: int, step: Callable[[str], None]
) -> BudgetStudy:
    """Choose a budget between two neighbours of the ladder, and see what `auto` makes of it."""
    with start_auto(store, log) as server:
        step("budget: measure")
        server.measure()
        rows = server.get("/models/frontier")["variants"]
        accuracies = {_name(row): row["top1"] for row in rows if row["top1"] is not None}
        ladder = climb_down(rows)
        run_wrk(server.url(_named(ladder[0])), body.path, body.content_type, 1, 1)
        capacity = _capacity(server, _named(ladder[0]), body)
        rate = LOAD * capacity
        seconds = requests / rate
        rungs = []
        for row in ladder:
            step(f"budget: {_name(row)}")
            loop = _run(server, _named(row), body, rate, seconds / 4)
            rungs.append(Rung(_name(row), row["top1"], loop))
        budget_ms = between(rungs)
        step("budget: auto")
        path = f"{PATH}?model=auto&max_latency_ms={budget_ms:.2f}"
        before = _chosen(server)
        auto = _run(server, path, body, rate, seconds)
        chosen = dict(Counter(_chosen(server)) - Counter(before))
    return BudgetStudy(rate, budget_ms, auto, chosen, accuracies, rungs)


def study_overload(
    store: Path, log: Path, body: BodyFile, seconds: float, step: Callable[[str], None]
) -> Overload:
    """The same flood with the brown-out on and off; one worker, so the generator has a core."""
    loops: dict[str, OpenLoop] = {}
    in_time: dict[str, float] = {}
    chosen: dict[str, dict[str, int]] = {}
    capacity = 0.0
    for state, switch in (("on", "--brownout"), ("off", "--no-brownout")):
        options = (switch, "--workers", "1", "--deadline-ms", str(DEADLINE_MS))
        with start_auto(store, log, None, *options) as server:
            step(f"overload: brown-out {state}")
            server.measure()
            best = climb_down(server.get("/models/frontier")["variants"])[0]
            capacity = capacity or _capacity(server, _named(best), body)
            before = _chosen(server)
            loop = _run(server, PATH, body, OVERLOAD * capacity, seconds)
            loops[state] = loop
            chosen[state] = dict(Counter(_chosen(server)) - Counter(before))
            in_time[state] = within(loop, DEADLINE_MS) / max(loop.scheduled, 1)
    return Overload(capacity, DEADLINE_MS, loops, in_time, chosen)


def study_new_resolution(
    store: Path, log: Path, body: BodyFile, seconds: float, step: Callable[[str], None]
) -> NewResolution:
    """Half of the capacity at the trained resolution; beside it, single requests at larger ones."""
    data = body.path.read_bytes()
    first: dict[int, float] = {}
    second: dict[int, float] = {}

    def others(server: Server, path: str) -> None:
        for side in NEW_SIDES:
            for times in (first, second):
                time.sleep(seconds / (2 * len(NEW_SIDES) + 1))
                answer = server.post(f"{path}&resolution={side}", body.content_type, data)
                times[side] = _inference_ms(answer)

    with start_auto(store, log) as server:
        best = climb_down(server.get("/models/frontier")["variants"])[0]
        path = _named(best)
        capacity = _capacity(server, path, body)
        step("new resolution: without")
        alone = _run(server, path, body, capacity / 2, seconds)
        step("new resolution: with")
        name = f"{PATH}?model={best['model']}"
        thread = threading.Thread(target=others, args=(server, name))
        thread.start()
        beside = _run(server, path, body, capacity / 2, seconds)
        thread.join()
    return NewResolution(capacity / 2, alone, beside, first, second)


def climb_down(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Variants of known accuracy, most accurate first, each clearly faster than the one before."""
    ladder: list[dict[str, Any]] = []
    for row in rows:
        if row["top1"] is None:
            continue
        if not ladder or row["madds"] <= FASTER * ladder[-1]["madds"]:
            ladder.append(row)
    return ladder[:RUNGS]


def between(rungs: list[Rung]) -> float:
    """A budget that one rung keeps and none above it does, where they lie furthest apart."""
    p95s_ms = [rung.loop.p95_ms for rung in rungs]
    gaps = [(min(p95s_ms[:at]), p95s_ms[at]) for at in range(1, len(p95s_ms))]
    above_ms, below_ms = max(gaps, key=lambda gap: gap[0] / gap[1])
    return below_ms + BETWEEN * (above_ms - below_ms)


def _capacity(server: Server, path: str, body: BodyFile) -> float:
    return run_wrk(server.url(path), body.path, body.content_type, 4, CAPACITY_S).requests_per_s


def _run(server: Server, path: str, body: BodyFile, rate: float, seconds: float) -> OpenLoop:
    return run_open_loop(HOST, server.port, path, body.path, body.content_type, rate, seconds)


def _named(row: dict[str, Any]) -> str:
    return f"{PATH}?model={row['model']}&resolution={row['resolution']}"


def _name(row: dict[str, Any]) -> str:
    return f"{row['model']}@{row['resolution']}"


def _chosen(server: Server) -> dict[str, int]:
    """Images so far by the variant that `auto` chose."""
    found = {}
    for line in server.text("/metrics").splitlines():
        if line.startswith("gateway_auto_images_total{"):
            labels, _, value = line.rpartition(" ")
            model, resolution = labels.split('"')[1::2]
            found[f"{model}@{resolution}"] = int(float(value))
    return found


def within(loop: OpenLoop, limit_ms: float) -> int:
    """Requests that were answered within a time."""
    histogram = HdrHistogram.decode(loop.histogram)
    return sum(
        item.count_added_in_this_iter_step
        for item in histogram.get_recorded_iterator()
        if item.value_iterated_to <= limit_ms * 1000
    )


def _inference_ms(answer: str) -> float:

    return float(json.loads(answer)["results"][0]["inference_ms"])
