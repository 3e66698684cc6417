"""The tables of `make bench`."""

from collections.abc import Callable
from statistics import median

from loadtest.bench.plan import OPEN_LOOP_LOADS, TARGET_FORM, TARGET_PHOTO, Plan, connections
from loadtest.bench.result import BenchResult, ModelResult, Sample, median_of, select
from loadtest.load.photos import size_text
from loadtest.load.wrk import saturating
from loadtest.report import megabytes, number, percent, table, verdict

MIN_RATIO = {"mobilenet_v2_1.0_224": 0.90, "mobilenet_v1_0.25_128": 0.75}
MAX_EXTRA_MS = 1.0


def render(result: BenchResult) -> str:
    cores = result.conditions.machine.cores
    parts = [
        result.conditions.describe(),
        "### Each model",
        _overview(result.models, cores),
        "### Against the bare loop",
        _targets(result.models, cores),
        "### The bare loop",
        _bare_loop(result.models, result.plan, cores),
        "### Closed loop",
        *(_closed_loop(model, result.plan, cores) for model in result.models),
        "### Open loop",
        _open_loop(result.models),
        "### Start and memory",
        _start(result.models),
        "### Memory for one request",
        _request_memory(result.models),
    ]
    return "\n\n".join(parts)


def _overview(models: list[ModelResult], cores: int) -> str:
    count = saturating(cores)
    rows = []
    for model in models:
        many = select(model.samples, TARGET_PHOTO, TARGET_FORM, count)
        single = select(model.samples, TARGET_PHOTO, TARGET_FORM)
        rows.append(
            (
                f"`{model.model}`",
                number(median_of(many, lambda sample: sample.closed.requests_per_s)),
                number(median_of(many, lambda sample: sample.cpu_ms)),
                number(median_of(single, lambda sample: sample.closed.p50_ms)),
                number(median_of(single, lambda sample: sample.closed.p99_ms)),
                number(median_of(single, lambda sample: sample.cpu_ms)),
                megabytes(model.memory.pss_bytes),
            )
        )
    headings = ("1280x720 JPEG, raw body", f"requests/s, {count} connections", "CPU ms per request")
    return table((*headings, "p50 ms, 1 connection", "p99 ms", "CPU ms per request", "PSS"), rows)


def _targets(models: list[ModelResult], cores: int) -> str:
    rows = []
    for model in models:
        many = select(model.samples, TARGET_PHOTO, TARGET_FORM, saturating(cores))
        single = select(model.samples, TARGET_PHOTO, TARGET_FORM)
        min_ratio = MIN_RATIO.get(model.model)
        ratio = median_of(many, lambda sample: sample.ratio)
        extra_ms = median_of(single, lambda sample: sample.extra_ms)
        rows += [
            (
                f"`{model.model}`: requests/s at {saturating(cores)} connections, relative to "
                "bare images/s",
                f"at least {percent(min_ratio)}" if min_ratio else "-",
                percent(ratio),
                _range(many, lambda sample: sample.ratio, percent),
                verdict(ratio >= min_ratio) if min_ratio else "-",
            ),
            (
                f"`{model.model}`: p50 at 1 connection, minus the bare loop's",
                f"at most {MAX_EXTRA_MS:.1f} ms",
                f"{extra_ms:.2f} ms",
                _range(single, lambda sample: sample.extra_ms, "{:.2f}".format),
                verdict(extra_ms <= MAX_EXTRA_MS),
            ),
            (
                f"`{model.model}`: CPU time of a bare image, relative to that of a request",
                "-",
                percent(median_of(many, lambda sample: sample.bare_cpu_ms / sample.cpu_ms)),
                _range(many, lambda sample: sample.bare_cpu_ms / sample.cpu_ms, percent),
                "-",
            ),
        ]
    headings = ("1280x720 JPEG, raw body", "target", "median", "range of the rounds", "met")
    return table(headings, rows)


def _bare_loop(models: list[ModelResult], plan: Plan, cores: int) -> str:
    rows = []
    for model in models:
        for photo in plan.photos:
            single = select(model.samples, photo)
            many = select(model.samples, photo, count=saturating(cores))
            rows.append(
                (
                    f"`{model.model}`",
                    size_text(photo),
                    number(median_of(single, lambda sample: sample.bare.p50_ms)),
                    number(median_of(single, lambda sample: sample.bare.images_per_s)),
                    number(median_of(many, lambda sample: sample.bare.images_per_s)),
                    number(median_of(many, lambda sample: sample.bare_cpu_ms)),
                )
            )
    headings = ("model", "JPEG", "ms per image (p50)", "images/s, 1 thread")
    return table((*headings, f"images/s, {cores} threads", "CPU ms per image"), rows)


def _closed_loop(model: ModelResult, plan: Plan, cores: int) -> str:
    rows = [
        (size_text(photo), form, count, *_cells(select(model.samples, photo, form, count)))
        for photo in plan.photos
        for form in plan.forms
        for count in connections(cores)
    ]
    headings = ("JPEG", "body", "connections", "requests/s", "relative to bare", "p50 ms", "p95 ms")
    more = ("p99 ms", "CPU ms per request", "wrk's CPU ms", "errors")
    return f"`{model.model}`\n\n" + table((*headings, *more), rows)


def _cells(samples: list[Sample]) -> tuple[str, ...]:
    return (
        number(median_of(samples, lambda sample: sample.closed.requests_per_s)),
        percent(median_of(samples, lambda sample: sample.ratio)),
        number(median_of(samples, lambda sample: sample.closed.p50_ms)),
        number(median_of(samples, lambda sample: sample.closed.p95_ms)),
        number(median_of(samples, lambda sample: sample.closed.p99_ms)),
        number(median_of(samples, lambda sample: sample.cpu_ms)),
        number(median_of(samples, lambda sample: sample.wrk_cpu_ms)),
        str(sum(sample.closed.bad_statuses + sample.closed.socket_errors for sample in samples)),
    )


def _open_loop(models: list[ModelResult]) -> str:
    rows = [
        (
            f"`{model.model}` at {percent(load)}",
            number(run.offered_per_s),
            number(run.answered_per_s),
            run.rejected,
            run.failed + run.unsent,
            *map(number, (run.p50_ms, run.p95_ms, run.p99_ms, run.max_ms, run.late_p99_ms)),
        )
        for model in models
        for load, run in zip(OPEN_LOOP_LOADS, model.open_loops, strict=True)
    ]
    headings = ("load, of the capacity", "offered/s", "answered/s", "503", "failed", "p50 ms")
    return table((*headings, "p95 ms", "p99 ms", "max ms", "generator late, p99 ms"), rows)


def _start(models: list[ModelResult]) -> str:
    rows = [
        (
            f"`{model.model}`",
            f"{median(model.cold_s):.2f}",
            f"{median(model.warm_s):.2f}",
            megabytes(model.memory.peak_rss_bytes),
            megabytes(model.memory.pss_bytes),
        )
        for model in models
    ]
    headings = ("model", "start to ready, no cache, s", "with cache, s", "peak RSS")
    return table((*headings, "PSS at the end"), rows)


def _request_memory(models: list[ModelResult]) -> str:
    rows = [
        (
            f"`{model.model}`",
            memory.form,
            f"{memory.body_bytes / 1000:.0f} kB",
            f"{memory.pixel_bytes / 1000:.0f} kB",
            f"{memory.peak_bytes / 1000:.0f} kB",
            f"{memory.per_body:.1f}",
        )
        for model in models
        for memory in model.request_memory
    ]
    headings = ("model", "body", "body size", "pixels", "peak", "(peak - pixels) / body size")
    return table(headings, rows)


def _range(
    samples: list[Sample], value: Callable[[Sample], float], form: Callable[[float], str]
) -> str:
    values = [value(sample) for sample in samples]
    return f"{form(min(values))} - {form(max(values))}"
