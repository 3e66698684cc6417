"""The load scenarios of `make bench-auto`: a latency budget, overload, and new resolutions."""

import json
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from loadtest.auto.result import BudgetResult, NewResolutionResult, OverloadResult, VariantRun
from loadtest.host.gateway import measure_variants, start_auto
from loadtest.host.server import Server
from loadtest.load.body import PATH, BodyFile
from loadtest.load.open_loop import run_open_loop
from loadtest.load.tally import OpenLoop
from loadtest.load.wrk import run_wrk

BUDGET_LOAD = 0.4  # of the most accurate variant's capacity
MAX_COST_RATIO = 0.85  # of a variant to the next more accurate one that is compared
MAX_VARIANTS = 5
BUDGET_POSITION = 0.6  # of the budget between the p95 of two neighbouring variants
OVERLOAD = 3
DEADLINE_MS = 100
NEW_RESOLUTIONS = (256, 288, 320, 352, 384, 416)
CAPACITY_S = 4
CAPACITY_CONNECTIONS = 4


def run_budget(
    store: Path, log: Path, body: BodyFile, requests: int, step: Callable[[str], None]
) -> BudgetResult:
    """Choose a budget between two neighbouring variants, and send it with requests to `auto`."""
    with start_auto(store, log) as server:
        step("budget: time the variants")
        measure_variants(server)
        rows = _variants(server)
        accuracies = {_name(row): row["top1"] for row in rows if row["top1"] is not None}
        compared = spaced_variants(rows)
        path = _variant_path(compared[0])
        run_wrk(server.url(path), body, 1, 1)  # warm up
        rate = BUDGET_LOAD * _capacity(server, path, body)
        seconds = requests / rate
        runs = []
        for row in compared:
            step(f"budget: {_name(row)}")
            loop = run_open_loop(server.port, _variant_path(row), body, rate, seconds / 4)
            runs.append(VariantRun(_name(row), row["top1"], loop))
        budget_ms = choose_budget_ms(runs)
        step("budget: auto")
        path = f"{PATH}?model=auto&max_latency_ms={budget_ms:.2f}"
        auto, chosen = _run_and_count(server, path, body, rate, seconds)
    return BudgetResult(rate, budget_ms, auto, chosen, accuracies, runs)


def run_overload(
    store: Path, log: Path, body: BodyFile, seconds: float, step: Callable[[str], None]
) -> OverloadResult:
    """Send the same overload with the brown-out on and off.

    The service has one worker, so that the generator has a core.
    """
    loops: dict[str, OpenLoop] = {}
    in_time: dict[str, float] = {}
    chosen: dict[str, dict[str, int]] = {}
    capacity = 0.0
    for state, switch in (("on", "--brownout"), ("off", "--no-brownout")):
        options = (switch, "--workers", "1", "--deadline-ms", str(DEADLINE_MS))
        with start_auto(store, log, *options) as server:
            step(f"overload: brown-out {state}")
            measure_variants(server)
            best = spaced_variants(_variants(server))[0]
            capacity = capacity or _capacity(server, _variant_path(best), body)
            rate = OVERLOAD * capacity
            loops[state], chosen[state] = _run_and_count(server, PATH, body, rate, seconds)
            answered = loops[state].answered_within(DEADLINE_MS)
            in_time[state] = answered / max(loops[state].scheduled, 1)
    return OverloadResult(capacity, DEADLINE_MS, loops, in_time, chosen)


def run_new_resolution(
    store: Path, log: Path, body: BodyFile, seconds: float, step: Callable[[str], None]
) -> NewResolutionResult:
    """Run at half the capacity at the trained resolution, without and with larger resolutions.

    The requests at larger resolutions come one at a time, two at each.
    """
    data = body.path.read_bytes()
    first_ms: dict[int, float] = {}
    second_ms: dict[int, float] = {}

    def send_new_resolutions(server: Server, path: str) -> None:
        for resolution in NEW_RESOLUTIONS:
            for times_ms in (first_ms, second_ms):
                time.sleep(seconds / (2 * len(NEW_RESOLUTIONS) + 1))
                answer = server.post(f"{path}&resolution={resolution}", body.content_type, data)
                times_ms[resolution] = float(json.loads(answer)["results"][0]["inference_ms"])

    with start_auto(store, log) as server:
        best = spaced_variants(_variants(server))[0]
        path = _variant_path(best)
        rate = _capacity(server, path, body) / 2
        step("new resolution: without")
        alone = run_open_loop(server.port, path, body, rate, seconds)
        step("new resolution: with")
        any_resolution = f"{PATH}?model={best['model']}"
        thread = threading.Thread(target=send_new_resolutions, args=(server, any_resolution))
        thread.start()
        beside = run_open_loop(server.port, path, body, rate, seconds)
        thread.join()
    return NewResolutionResult(rate, alone, beside, first_ms, second_ms)


def spaced_variants(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Select variants of known accuracy, each clearly cheaper than the one before.

    The rows come most accurate first, as `/models/frontier` lists them.
    """
    selected: list[dict[str, Any]] = []
    for row in rows:
        if row["top1"] is None:
            continue
        if not selected or row["madds"] <= MAX_COST_RATIO * selected[-1]["madds"]:
            selected.append(row)
    return selected[:MAX_VARIANTS]


def choose_budget_ms(runs: list[VariantRun]) -> float:
    """Return a budget that one variant meets and no more accurate one does.

    It lies in the widest gap between the p95 of a variant and of all more accurate ones.
    """
    p95s_ms = [run.loop.p95_ms for run in runs]
    gaps = [(min(p95s_ms[:at]), p95s_ms[at]) for at in range(1, len(p95s_ms))]
    above_ms, below_ms = max(gaps, key=lambda gap: gap[0] / gap[1])
    return below_ms + BUDGET_POSITION * (above_ms - below_ms)


def _run_and_count(
    server: Server, path: str, body: BodyFile, rate: float, seconds: float
) -> tuple[OpenLoop, dict[str, int]]:
    """Run the open loop, and count the images of each variant that `auto` chose meanwhile."""
    before = _chosen(server)
    loop = run_open_loop(server.port, path, body, rate, seconds)
    return loop, dict(_chosen(server) - before)


def _chosen(server: Server) -> Counter[str]:
    """Read from the metrics how many images `auto` has given to each variant so far."""
    found: Counter[str] = Counter()
    for line in server.get("/metrics").splitlines():
        if line.startswith("gateway_auto_images_total{"):
            labels, _, value = line.rpartition(" ")
            model, resolution = labels.split('"')[1::2]
            found[f"{model}@{resolution}"] = int(float(value))
    return found


def _capacity(server: Server, path: str, body: BodyFile) -> float:
    return run_wrk(server.url(path), body, CAPACITY_CONNECTIONS, CAPACITY_S).requests_per_s


def _variants(server: Server) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = json.loads(server.get("/models/frontier"))["variants"]
    return rows


def _variant_path(row: dict[str, Any]) -> str:
    return f"{PATH}?model={row['model']}&resolution={row['resolution']}"


def _name(row: dict[str, Any]) -> str:
    return f"{row['model']}@{row['resolution']}"
