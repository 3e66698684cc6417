"""The tables of `make bench-peers`."""

from collections.abc import Callable, Sequence
from statistics import median
from typing import TYPE_CHECKING

from loadtest.report import describe, megabytes, number, table, verdict

if TYPE_CHECKING:
    from loadtest.peers.run import Comparison, PeerRun, PeersResult

FASTER_AT_LEAST = {"mobilenet_v2_1.0_224": 1.6, "mobilenet_v1_0.25_128": 3.0}
MEMORY_AT_MOST = {"mobilenet_v2_1.0_224": 0.55}

Value = Callable[["PeerRun"], float]
# what is compared, its unit, and whether more of it is better
METRICS: dict[str, tuple[Value, bool]] = {
    "requests/s": (lambda run: run.closed.requests_per_s, True),
    "p50": (lambda run: run.closed.p50_ms, False),
    "p99": (lambda run: run.closed.p99_ms, False),
    "processor time a request": (lambda run: run.cpu_s / run.closed.requests, False),
    "memory": (lambda run: run.memory.pss_bytes, False),
    "start to ready": (lambda run: run.ready_s, False),
}


def render(result: "PeersResult", ours: str) -> str:
    """All tables of a run, in Markdown."""
    titles = {name: title for name, (title, _, _) in result.servers.items()}
    parts = [
        describe(result.machine, result.disturbed, result.took_s)
        + f" {result.rounds} rounds of {result.seconds} s, {result.connections} connections, "
        "1280x720 JPEG; medians of the rounds, ratios within a round.",
        _promises(result.comparisons, ours, titles),
    ]
    for found in result.comparisons:
        parts += [
            f"### `{found.model}` beside other servers\n",
            _table(found, ours, titles),
            _wins(found, ours, titles),
            *(f"Skipped: {titles.get(n, n)}: {why}" for n, why in found.skipped.items()),
        ]
    parts += ["### What was run\n", _servers(result)]
    return "\n\n".join(part.strip("\n") for part in parts)


def ratios(ours: Sequence["PeerRun"], theirs: Sequence["PeerRun"], value: Value) -> list[float]:
    """Ours as a multiple of theirs, round by round."""
    return [value(our) / value(their) for our, their in zip(ours, theirs, strict=True)]


def _table(found: "Comparison", ours: str, titles: dict[str, str]) -> str:
    speed, memory = METRICS["requests/s"][0], METRICS["memory"][0]
    own = found.runs.get(ours, [])
    rows = []
    for name, runs in sorted(found.runs.items(), key=lambda item: -_middle(item[1], speed)):
        rows.append(
            (
                titles[name],
                number(_middle(runs, speed)),
                f"{median(ratios(own, runs, speed)):.2f}" if own else "-",
                number(_middle(runs, METRICS["p50"][0])),
                number(_middle(runs, METRICS["p99"][0])),
                number(1000 * _middle(runs, METRICS["processor time a request"][0])),
                number(_middle(runs, lambda run: run.cpu_s / run.closed.seconds)),
                megabytes(_middle(runs, memory)),
                f"{median(ratios(own, runs, memory)):.2f}" if own else "-",
                f"{_middle(runs, lambda run: run.memory.processes):.0f}",
                number(_middle(runs, METRICS["start to ready"][0])),
                str(sum(run.closed.bad_statuses + run.closed.socket_errors for run in runs)),
            )
        )
    headings = ("server", "requests/s", "ours is x", "p50 ms", "p99 ms", "CPU ms a request")
    more = ("cores used", "PSS", "ours is x", "processes", "ready in s", "errors")
    return table((*headings, *more), rows)


def _wins(found: "Comparison", ours: str, titles: dict[str, str]) -> str:
    """Say in words where another server is better than ours."""
    if ours not in found.runs:
        return "Ours did not run, so nothing can be compared."
    won = []
    for metric, (value, more_is_better) in METRICS.items():
        own = _middle(found.runs[ours], value)
        sign = 1 if more_is_better else -1
        better = [
            titles[name]
            for name, runs in found.runs.items()
            if name != ours and sign * _middle(runs, value) > sign * own
        ]
        if better:
            won.append(f"{metric}: {', '.join(better)}")
    return f"Where another server wins: {'; '.join(won) or 'nowhere in this table'}."


def _promises(comparisons: "list[Comparison]", ours: str, titles: dict[str, str]) -> str:
    rows = []
    for found in comparisons:
        peers = {name: runs for name, runs in found.runs.items() if name != ours}
        if not peers or ours not in found.runs:
            continue
        own = found.runs[ours]
        speed, memory = METRICS["requests/s"][0], METRICS["memory"][0]
        best = max(peers, key=lambda name: _middle(peers[name], speed))
        faster = median(ratios(own, peers[best], speed))
        least = FASTER_AT_LEAST[found.model]
        what = f"`{found.model}`: requests/s, of the best other ({titles[best]})"
        rows.append((what, f"at least {least}", f"{faster:.2f}", verdict(faster >= least)))
        if found.model in MEMORY_AT_MOST:
            most = MEMORY_AT_MOST[found.model]
            leanest = min(peers, key=lambda name: _middle(peers[name], memory))
            share = median(ratios(own, peers[leanest], memory))
            what = f"`{found.model}`: PSS after the run, of the leanest other ({titles[leanest]})"
            rows.append((what, f"at most {most}", f"{share:.2f}", verdict(share <= most)))
    return table(("", "promised", "measured", "kept"), rows)


def _servers(result: "PeersResult") -> str:
    heading = ["| server | version | settings |", "| --- | --- | --- |"]
    return "\n".join([*heading, *(f"| {' | '.join(row)} |" for row in result.servers.values())])


def _middle(runs: Sequence["PeerRun"], value: Value) -> float:
    return median(map(value, runs))
