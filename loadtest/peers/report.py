"""The tables of `make bench-peers`."""

from collections.abc import Callable, Sequence
from statistics import median

from loadtest.peers.result import Comparison, PeerRun, PeersResult
from loadtest.peers.workload import GATEWAY_NAME, DefaultInstall
from loadtest.report import megabytes, number, table, verdict

MIN_SPEEDUP = {"mobilenet_v2_1.0_224": 1.45, "mobilenet_v1_0.25_128": 4.0}
MAX_MEMORY_RATIO = {"mobilenet_v2_1.0_224": 0.52}
MAX_DEFAULT_MEMORY_RATIO = 0.6
MIN_OF_BARE_GAIN = 0.95  # how much of what INT8 gains in the bare loop the service has to gain
MAX_START_RATIO = {"mobilenet_v2_1.0_224": 1.1}
PLAIN = "fastapi"  # the server that the start is compared with

Value = Callable[[PeerRun], float]


def _requests_per_s(run: PeerRun) -> float:
    return run.closed.requests_per_s


def _pss_bytes(run: PeerRun) -> float:
    return run.memory.pss_bytes


def _cpu_per_request_s(run: PeerRun) -> float:
    return run.cpu_s / run.closed.requests


def _lone_cpu_s(run: PeerRun) -> float:
    return run.lone_cpu_s / run.lone.requests


# metric: value of a run, and whether a higher one is better
METRICS: dict[str, tuple[Value, bool]] = {
    "requests/s": (_requests_per_s, True),
    "p50": (lambda run: run.closed.p50_ms, False),
    "p99": (lambda run: run.closed.p99_ms, False),
    "CPU time per request": (_cpu_per_request_s, False),
    "p50 at one connection": (lambda run: run.lone.p50_ms, False),
    "CPU time per request at one connection": (_lone_cpu_s, False),
    "memory": (_pss_bytes, False),
    "start to the first answer": (lambda run: run.answered_s, False),
}


def render(result: PeersResult) -> str:
    titles = {name: server.title for name, server in result.servers.items()}
    parts = [
        f"{result.conditions.describe()} {result.rounds} rounds of {result.seconds} s, "
        f"{result.connections} connections, 1280x720 JPEG; medians of the rounds, ratios within a "
        "round.",
        _targets(result, titles),
    ]
    for comparison in result.comparisons:
        parts += [
            f"### `{comparison.model}` beside other servers",
            _servers(comparison, titles),
            _where_others_win(comparison, titles),
        ]
        skipped = comparison.skipped.items()
        parts += [f"Skipped: {titles.get(name, name)}: {reason}" for name, reason in skipped]
    return "\n\n".join([*parts, "### Servers and settings", _settings(result)])


def _ratio(ours: Sequence[PeerRun], theirs: Sequence[PeerRun], value: Value) -> float:
    """Return the median over the rounds of this service's value relative to the other's."""
    return median(value(our) / value(their) for our, their in zip(ours, theirs, strict=True))


def _targets(result: PeersResult, titles: dict[str, str]) -> str:
    rows = []
    for comparison in result.comparisons:
        model, peers = comparison.model, dict(comparison.runs)
        own, installed = peers.pop(GATEWAY_NAME, None), peers.pop(DefaultInstall.name, None)
        if not peers or own is None:
            continue
        fastest = max(peers, key=lambda name: _median(peers[name], _requests_per_s))
        speedup = _ratio(own, peers[fastest], _requests_per_s)
        what = f"`{model}`: requests/s, relative to the fastest other ({titles[fastest]})"
        met = verdict(speedup >= MIN_SPEEDUP[model])
        rows.append((what, f"at least {MIN_SPEEDUP[model]}", f"{speedup:.2f}", met))
        if model in MAX_MEMORY_RATIO:
            smallest = min(peers, key=lambda name: _median(peers[name], _pss_bytes))
            ratio = _ratio(own, peers[smallest], _pss_bytes)
            what = f"`{model}`: PSS after the run, relative to the smallest other"
            met = verdict(ratio <= MAX_MEMORY_RATIO[model])
            target = f"at most {MAX_MEMORY_RATIO[model]}"
            rows.append((f"{what} ({titles[smallest]})", target, f"{ratio:.2f}", met))
            if installed and result.bare_int8_ratio:
                gain = _ratio(installed, peers[fastest], _requests_per_s)
                least = MIN_OF_BARE_GAIN * speedup * result.bare_int8_ratio
                what = f"as installed: requests/s, relative to {titles[fastest]}"
                rows.append((what, f"at least {least:.2f}", f"{gain:.2f}", verdict(gain >= least)))
                ratio = _ratio(installed, peers[smallest], _pss_bytes)
                what = f"as installed: PSS after the run, relative to {titles[smallest]}"
                met = verdict(ratio <= MAX_DEFAULT_MEMORY_RATIO)
                target = f"at most {MAX_DEFAULT_MEMORY_RATIO}"
                rows.append((what, target, f"{ratio:.2f}", met))
        if model in MAX_START_RATIO and PLAIN in peers:
            ratio = _ratio(own, peers[PLAIN], lambda run: run.answered_s)
            what = f"`{model}`: start to the first answer, relative to {titles[PLAIN]}"
            met = verdict(ratio <= MAX_START_RATIO[model])
            rows.append((what, f"at most {MAX_START_RATIO[model]}", f"{ratio:.2f}", met))
    return table(("", "target", "measured", "met"), rows)


def _servers(comparison: Comparison, titles: dict[str, str]) -> str:
    own = comparison.runs.get(GATEWAY_NAME, [])
    rows = []
    by_speed = sorted(comparison.runs.items(), key=lambda item: -_median(item[1], _requests_per_s))
    for name, runs in by_speed:
        rows.append(
            (
                titles[name],
                number(_median(runs, _requests_per_s)),
                f"{_ratio(own, runs, _requests_per_s):.2f}" if own else "-",
                number(_median(runs, lambda run: run.closed.p50_ms)),
                number(_median(runs, lambda run: run.closed.p99_ms)),
                number(1000 * _median(runs, _cpu_per_request_s)),
                number(_median(runs, lambda run: run.lone.p50_ms)),
                number(1000 * _median(runs, _lone_cpu_s)),
                number(_median(runs, lambda run: run.cpu_s / run.closed.seconds)),
                megabytes(_median(runs, _pss_bytes)),
                f"{_ratio(own, runs, _pss_bytes):.2f}" if own else "-",
                f"{_median(runs, lambda run: run.memory.processes):.0f}",
                number(_median(runs, lambda run: run.answered_s)),
                f"{_ratio(own, runs, lambda run: run.answered_s):.2f}" if own else "-",
                number(_median(runs, lambda run: run.start_cpu_s)),
                str(sum(run.closed.bad_statuses + run.closed.socket_errors for run in runs)),
            )
        )
    headings = ("server", "requests/s", "gateway ratio", "p50 ms", "p99 ms", "CPU ms per request")
    alone = ("p50 ms, 1 connection", "CPU ms per request")
    more = (*alone, "cores used", "PSS", "gateway ratio", "processes")
    start = ("first answer after s", "gateway ratio", "CPU s until then", "errors")
    return table((*headings, *more, *start), rows)


def _where_others_win(comparison: Comparison, titles: dict[str, str]) -> str:
    """Name the metrics in which another server is better than this service."""
    if GATEWAY_NAME not in comparison.runs:
        return f"{GATEWAY_NAME} did not run, so there is no comparison."
    won = []
    for metric, (value, higher_is_better) in METRICS.items():
        own = _median(comparison.runs[GATEWAY_NAME], value)
        sign = 1 if higher_is_better else -1
        better = [
            titles[name]
            for name, runs in comparison.runs.items()
            if name not in (GATEWAY_NAME, DefaultInstall.name)
            and sign * _median(runs, value) > sign * own
        ]
        if better:
            won.append(f"{metric}: {', '.join(better)}")
    return f"Where another server wins: {'; '.join(won) or 'nowhere in this table'}."


def _settings(result: PeersResult) -> str:
    rows = [
        f"| {each.title} | {each.version} | {each.settings} |" for each in result.servers.values()
    ]
    return "\n".join(["| server | version | settings |", "| --- | --- | --- |", *rows])


def _median(runs: Sequence[PeerRun], value: Value) -> float:
    return median(map(value, runs))
