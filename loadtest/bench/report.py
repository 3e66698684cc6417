"""The tables of `make bench`."""

from collections.abc import Callable
from statistics import median
from typing import TYPE_CHECKING

from loadtest.bench.plan import FEW, HEADLINE_FORM, HEADLINE_PHOTO, LOADS, MANY, connections
from loadtest.bench.rounds import Sample, middle, select
from loadtest.load.photos import SIZES
from loadtest.report import describe, megabytes, number, percent, table, verdict

if TYPE_CHECKING:
    from loadtest.bench.run import Result, Study

RATIO_AT_LEAST = {"mobilenet_v2_1.0_224": 0.90, "mobilenet_v1_0.25_128": 0.75}
EXTRA_AT_MOST_MS = 1.0


def render(result: "Result") -> str:
    """All tables of a run, in Markdown."""
    cores = result.machine.cores
    parts = [
        describe(result.machine, result.disturbed, result.took_s),
        "### Against the bare loop\n",
        _promises(result.studies, cores),
        "### The bare loop\n",
        _bare(result.studies, cores),
        "### Closed loop\n",
        *(_closed(study, cores) for study in result.studies),
        "### Open loop\n",
        _open(result.studies),
        "### Start and memory\n",
        _start(result.studies),
        "### Memory for one request\n",
        _held(result.studies),
    ]
    return "\n\n".join(part.strip("\n") for part in parts)


def _promises(studies: "list[Study]", cores: int) -> str:
    rows = []
    for study in studies:
        crowd = select(study.samples, HEADLINE_PHOTO, HEADLINE_FORM, MANY * cores)
        single = select(study.samples, HEADLINE_PHOTO, HEADLINE_FORM, FEW)
        least = RATIO_AT_LEAST[study.model]
        ratio = middle(crowd, lambda sample: sample.ratio)
        extra = middle(single, lambda sample: sample.extra_ms)
        rows += [
            (
                f"`{study.model}`: requests/s at {MANY * cores} connections, of bare images/s",
                f"at least {percent(least)}",
                percent(ratio),
                _spread(crowd, lambda sample: sample.ratio, percent),
                verdict(ratio >= least),
            ),
            (
                f"`{study.model}`: p50 at 1 connection, beyond the bare loop's",
                f"at most {EXTRA_AT_MOST_MS:.1f} ms",
                f"{extra:.2f} ms",
                _spread(single, lambda sample: sample.extra_ms, "{:.2f}".format),
                verdict(extra <= EXTRA_AT_MOST_MS),
            ),
            (
                f"`{study.model}`: processor time of a bare image, of that of a request",
                "-",
                percent(middle(crowd, lambda sample: sample.bare_cpu_ms / sample.cpu_ms)),
                _spread(crowd, lambda sample: sample.bare_cpu_ms / sample.cpu_ms, percent),
                "-",
            ),
        ]
    headings = ("1280x720 JPEG, raw body", "promised", "median", "rounds from - to", "kept")
    return table(headings, rows)


def _bare(studies: "list[Study]", cores: int) -> str:
    rows = []
    for study in studies:
        for photo in SIZES:
            single = select(study.samples, photo, count=FEW)
            crowd = select(study.samples, photo, count=MANY * cores)
            rows.append(
                (
                    f"`{study.model}`",
                    _size(photo),
                    number(middle(single, lambda sample: sample.bare.p50_ms)),
                    number(middle(single, lambda sample: sample.bare.images_per_s)),
                    number(middle(crowd, lambda sample: sample.bare.images_per_s)),
                    number(middle(crowd, lambda sample: sample.bare_cpu_ms)),
                )
            )
    headings = ("model", "JPEG", "ms an image (p50)", "images/s, 1 thread")
    return table((*headings, f"images/s, {cores} threads", "CPU ms an image"), rows)


def _closed(study: "Study", cores: int) -> str:
    rows = []
    for photo in SIZES:
        for form in ("raw", "multipart", "json"):
            for count in connections(cores):
                cell = select(study.samples, photo, form, count)
                rows.append((_size(photo), form, count, *_figures(cell)))
    headings = ("JPEG", "body", "connections", "requests/s", "of bare", "p50 ms", "p95 ms")
    more = ("p99 ms", "CPU ms a request", "wrk's CPU ms", "errors")
    return f"`{study.model}`\n\n" + table((*headings, *more), rows)


def _figures(cell: list[Sample]) -> tuple[str, ...]:
    return (
        number(middle(cell, lambda sample: sample.closed.requests_per_s)),
        percent(middle(cell, lambda sample: sample.ratio)),
        number(middle(cell, lambda sample: sample.closed.p50_ms)),
        number(middle(cell, lambda sample: sample.closed.p95_ms)),
        number(middle(cell, lambda sample: sample.closed.p99_ms)),
        number(middle(cell, lambda sample: sample.cpu_ms)),
        number(middle(cell, lambda sample: sample.wrk_cpu_ms)),
        str(sum(sample.closed.bad_statuses + sample.closed.socket_errors for sample in cell)),
    )


def _open(studies: "list[Study]") -> str:
    rows = [
        (
            f"`{study.model}` at {percent(load)}",
            number(run.offered_per_s),
            number(run.answered_per_s),
            run.refused,
            run.failed + run.unsent,
            number(run.p50_ms),
            number(run.p95_ms),
            number(run.p99_ms),
            number(run.max_ms),
            number(run.late_p99_ms),
        )
        for study in studies
        for load, run in zip(LOADS, study.open_loops, strict=True)
    ]
    headings = ("of capacity", "offered/s", "answered/s", "503", "failed", "p50 ms", "p95 ms")
    return table((*headings, "p99 ms", "max ms", "generator late, p99 ms"), rows)


def _start(studies: "list[Study]") -> str:
    rows = [
        (
            f"`{study.model}`",
            f"{median(study.cold_s):.2f}",
            f"{median(study.warm_s):.2f}",
            megabytes(study.memory.peak_rss_bytes),
            megabytes(study.memory.pss_bytes),
        )
        for study in studies
    ]
    headings = ("model", "start to ready, no cache, s", "with cache, s", "peak RSS")
    return table((*headings, "PSS at the end"), rows)


def _held(studies: "list[Study]") -> str:
    rows = [
        (
            f"`{study.model}`",
            held.form,
            f"{held.body_bytes / 1000:.0f} kB",
            f"{held.pixel_bytes / 1000:.0f} kB",
            f"{held.peak_bytes / 1000:.0f} kB",
            f"{held.bodies:.1f}",
        )
        for study in studies
        for held in study.held
    ]
    headings = ("model", "body", "its size", "pixels", "held at most", "bodies held beyond pixels")
    return table(headings, rows)


def _spread(
    cell: list[Sample], value: Callable[[Sample], float], form: Callable[[float], str]
) -> str:
    values = [value(sample) for sample in cell]
    return f"{form(min(values))} - {form(max(values))}"


def _size(photo: str) -> str:
    return "x".join(map(str, SIZES[photo]))
