"""Known answers and metrics, and what the page makes of them for people."""

import json
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, FilePayload, Page, Route, expect

from app.settings import Settings
from tests.conftest import REAL_MODEL, SMALL_V1
from tests.page.browser import DESK, SLOWER, visit
from tests.serving import served

IMAGE = FilePayload(name="a.jpg", mimeType="image/jpeg", buffer=b"the service does not see it")
ANSWER = {
    "model": REAL_MODEL,
    "resolution": 224,
    "results": [
        {
            "predictions": [
                {"class_id": 285, "label": "Egyptian cat", "probability": 0.8734},
                {"class_id": 281, "label": "tabby", "probability": 0.0567},
                {"class_id": 1, "label": "goldfish", "probability": 0.0004},
            ],
            "queue_ms": 1.25,
            "decode_ms": 12.34,
            "inference_ms": 123.4,
        }
    ],
}
METRICS = """\
# TYPE gateway_images_total counter
gateway_images_total{{model="a",outcome="ok"}} {ok}
gateway_images_total{{model="b",outcome="ok"}} 100.0
gateway_images_total{{model="b",outcome="not-an-image"}} 7.0
gateway_requests_total{{method="GET",route="/models",status="200"}} 3.0
gateway_requests_total{{method="POST",route="/predict",status="503"}} {failed}
gateway_queue_seconds_sum{{model="a"}} {queue}
gateway_decode_seconds_sum{{model="a"}} {decode}
gateway_inference_seconds_sum{{model="a"}} {inference}
gateway_queue_images 17.0
process_cpu_seconds_total {cpu}
process_resident_memory_bytes 1.375e+08
"""


def answered(status: int, body: Any, retry_after: str = "") -> Callable[[Route], None]:
    def answer(route: Route) -> None:
        headers = {"Retry-After": retry_after} if retry_after else {}
        route.fulfill(
            status=status,
            headers={"Content-Type": "application/json", **headers},
            body=json.dumps(body),
        )

    return answer


def problem(status: int) -> dict[str, Any]:
    return {"type": "urn:x", "title": f"Title {status}", "status": status, "detail": "Why."}


def choose(page: Page) -> None:
    expect(page.locator("#state")).to_have_text("ready")
    page.locator("#files").set_input_files([IMAGE])


def test_shares_bars_and_times_are_those_of_the_answer(browser: Browser, address: str) -> None:
    with visit(browser, f"{address}/", DESK) as seen:
        page = seen.page
        page.route("**/predict?*", answered(200, ANSWER))
        choose(page)
        rows = page.locator(".labels li")
        expect(rows).to_have_count(3)
        page.get_by_text("1 more under 1").click()
        shares = page.locator(".labels .share").all_inner_texts()
        assert [share.replace("\u00a0", " ") for share in shares] == ["87.3 %", "5.7 %", "0.0 %"]
        widths = [
            bar.evaluate("one => parseFloat(one.style.width)")
            for bar in page.locator(".labels .fill").all()
        ]
        assert widths == pytest.approx([87.34, 5.67, 0.04])
        times = page.locator(".times .key").all_inner_texts()
        assert times == ["queue 1.25 ms", "decode 12.3 ms", "inference 123 ms"]
        parts = [
            part.evaluate("one => parseFloat(one.style.flexGrow)")
            for part in page.locator(".strip span").all()
        ]
        assert parts == pytest.approx([1.25 / 136.99, 12.34 / 136.99, 123.4 / 136.99])
        expect(page.locator(".answer")).to_contain_text(f"{REAL_MODEL} at 224 px")


@pytest.mark.parametrize(("busy_times", "tries"), [(2, 3), (99, 5)])
def test_an_overloaded_service_is_asked_again_when_it_says_so_and_five_times(
    browser: Browser, address: str, busy_times: int, tries: int
) -> None:
    asked: list[str] = []

    def busy_at_first(route: Route) -> None:
        asked.append(route.request.url)
        if len(asked) <= busy_times:
            answered(503, problem(503), "30")(route)
        else:
            answered(200, ANSWER)(route)

    with visit(browser, f"{address}/", DESK) as seen:
        page = seen.page
        page.clock.install(time=0)
        page.route("**/predict?*", busy_at_first)
        expect(page.locator("#state")).to_have_text("ready")
        page.clock.pause_at(3_600_000)  # from here on, only the test moves it
        page.locator("#files").set_input_files([IMAGE])
        expect(page.locator(".answer")).to_have_text("The gateway is busy. Asking again in 30 s.")
        for already in range(1, tries):
            seconds = 0
            while len(asked) <= already:
                page.wait_for_timeout(5)
                page.clock.run_for(1000)
                seconds += 1
                assert seconds < 2000
            assert seconds >= 29  # the timer may be set within a step
        shown = page.locator(".answer > .labels" if busy_times < tries else ".error")
        expect(shown).to_have_count(1)
        page.clock.run_for(60_000)
        assert len(asked) == tries


def test_no_other_error_is_asked_again(browser: Browser, address: str) -> None:
    asked: list[int] = []

    def fails(route: Route) -> None:
        asked.append(status)
        answered(status, problem(status), "1")(route)

    with visit(browser, f"{address}/", DESK) as seen:
        seen.page.clock.install()
        seen.page.route("**/predict?*", fails)
        statuses = [400, 413, 500, 502, 504]
        for status in statuses:
            choose(seen.page)
            expect(seen.page.locator(".error")).to_contain_text(f"Title {status}")
            seen.page.clock.run_for(60_000)
        assert asked == statuses


def test_live_figures_are_means_of_what_was_added(browser: Browser, address: str) -> None:
    """Twenty images in the two seconds between two readings, by a clock that the test moves."""
    readings = (
        METRICS.format(ok=10.0, failed=1.0, queue=5.0, decode=1.0, inference=2.0, cpu=9.5),
        # 10, 2.5 and 25 ms an image
        METRICS.format(ok=30.0, failed=4.0, queue=5.2, decode=1.05, inference=2.5, cpu=10.4),
    )
    reading = readings[0]

    def metrics(route: Route) -> None:
        route.fulfill(content_type="text/plain", body=reading)

    with visit(browser, "about:blank", DESK) as seen:
        page = seen.page

        def figure(name: str) -> str:
            return page.locator("#live-figures div", has_text=name).locator("dd").inner_text()

        def advance(holds: Callable[[], bool]) -> None:
            for _ in range(1000):
                if holds():
                    return
                # Above it, the page may still grow.
                page.locator("#live").scroll_into_view_if_needed()
                page.clock.run_for(2000)
                page.wait_for_timeout(20)
            raise AssertionError(page.locator("#live-figures").inner_text())

        page.clock.install(time=0)
        page.route("**/metrics", metrics)
        page.goto(f"{address}/")
        page.locator("#live").scroll_into_view_if_needed()
        expect(page.locator("#live-figures")).to_contain_text("110")
        page.clock.pause_at(3_600_000)
        # Since the reading before, which was the same.
        advance(lambda: figure("Images per second") == "0")
        reading = readings[1]
        advance(lambda: figure("Images so far") == "130")
        texts = dict(
            zip(
                page.locator("#live-figures dt").all_inner_texts(),
                page.locator("#live-figures dd").all_inner_texts(),
                strict=True,
            )
        )
    assert texts == {
        "Images per second": "10.0",
        "Time per image": "37.5 ms",
        "In the queue": "17.0",
        "Errors per second": "1.50",
        "Cores in use": "0.45",
        "Memory": "137.5 MB",
        "Images so far": "130",
    }


def test_one_slow_answer_is_not_mixed_with_times_at_rest(
    browser: Browser, page_store: Path
) -> None:
    settings = Settings(store=page_store, models=(SMALL_V1,), measure_s=0, cache=False)
    with served(settings) as client, visit(browser, f"{client.base_url}/", DESK) as seen:
        page = seen.page
        slow = {**ANSWER, "model": SMALL_V1, "resolution": 128}
        page.route("**/predict?*", answered(200, slow))
        choose(page)
        expect(page.locator(".times")).to_contain_text("inference 123 ms")
        expect(page.locator("#cost")).to_contain_text("123 ms")  # there is no other figure
        expect(page.locator("#plot-ms")).to_have_class("plot empty")
        expect(page.locator("#model-table tbody td:nth-child(4)")).to_have_text("\u2013")
        expect(page.locator("#compare")).to_be_hidden()  # there is no other model


def test_times_under_load_are_not_mixed_with_times_at_rest(browser: Browser, address: str) -> None:
    with visit(browser, "about:blank", DESK) as seen:
        page = seen.page

        def loaded(route: Route) -> None:
            frontier = route.fetch().json()
            for row in frontier["variants"]:
                row.update(inference_ms=98.7, samples=128, idle_ms=3.21)
            route.fulfill(json=frontier)

        page.route("**/models/frontier", loaded)
        page.goto(f"{address}/")
        expect(page.locator("#model-table tbody td:nth-child(4)")).to_have_text(["3.21"] * 3)
        expect(page.locator("#cost")).to_contain_text("3.21 ms")


@pytest.mark.skipif(SLOWER > 1, reason="a slow connection takes the place of the one cut here")
def test_the_header_says_whether_the_service_is_reachable(browser: Browser, address: str) -> None:
    with visit(browser, f"{address}/", DESK) as seen:
        state = seen.page.locator("#state")
        expect(state).to_have_text("ready")
        seen.page.context.set_offline(True)
        expect(state).to_have_text("not reachable")
        seen.page.context.set_offline(False)
        expect(state).to_have_text("ready")


def test_no_name_in_a_plot_crosses_its_line(browser: Browser, address: str) -> None:
    """On lines that rise, as a frontier does, with points as near as on a phone."""
    line = [(50, 190), (80, 150), (95, 140), (140, 80), (190, 60), (300, 52), (310, 20)]
    names = [{"box": around(x, y, 5, 5), "width": 60, "height": 13} for x, y in line]
    frame = {"left": 0, "right": 380, "top": 0, "bottom": 220}
    with visit(browser, f"{address}/", DESK) as seen:
        spots = seen.page.evaluate(
            """async ([names, line, frame]) => {
                const { place } = await import("./static/spots.js");
                return place(names, names.map(({ box }) => box), line, frame, 9);
            }""",
            [names, line, frame],
        )
    placed = [spot for spot in spots if spot]
    assert len(placed) >= 5
    for spot in placed:
        for (x, y), (to_x, to_y) in pairwise(line):
            for step in range(1001):
                at_x, at_y = x + (to_x - x) * step / 1000, y + (to_y - y) * step / 1000
                inside = spot["left"] < at_x < spot["right"] and spot["top"] < at_y < spot["bottom"]
                assert not inside, (spot, at_x, at_y)


def around(x: float, y: float, width: float, height: float) -> dict[str, float]:
    return {"left": x - width, "right": x + width, "top": y - height, "bottom": y + height}


WRITTEN: list[tuple[str, list[float | str], str]] = [
    ("percent", [0.8734], "87.3\u00a0%"),
    ("percent", [1], "100.0\u00a0%"),
    ("ms", [4.368], "4.37 ms"),
    ("ms", [43.68], "43.7 ms"),
    ("ms", [436.8], "437 ms"),
    ("digits", [0], "0"),
    ("digits", [-12.34], "-12.3"),
    ("count", [999], "999"),
    ("count", [1280], "1.3 k"),
    ("count", [3504872], "3.50 M"),
    ("count", [13600000], "13.6 M"),
    ("count", [300774272], "301 M"),
    ("count", [1234567890], "1.23 G"),
    ("bytes", [1500], "1.5 kB"),
    ("bytes", [14e6], "14.0 MB"),
    ("bytes", [1.5e9], "1.50 GB"),
    ("ratio", [300, 100], "3.00 \u00d7 more"),
    ("ratio", [100, 400], "4.00 \u00d7 less"),
    ("ratio", [100, 100], ""),
    ("ratio", [100, 0], ""),
    ("shortName", ["mobilenet_v2_1.0_224_int8", 192], "v2 1.0/224 int8 @192"),
    ("shortName", ["mobilenet_v1_0.25_128", 128], "v1 0.25/128"),
    ("shortName", ["flowers", 96], "flowers @96"),
]


def test_numbers_are_written_for_people(browser: Browser, address: str) -> None:
    with visit(browser, f"{address}/", DESK) as seen:
        found = seen.page.evaluate(
            """async (calls) => {
                const format = await import("./static/format.js");
                return calls.map(([name, values]) => format[name](...values));
            }""",
            [[name, values] for name, values, _ in WRITTEN],
        )
        assert found == [text for _, _, text in WRITTEN]
        median = seen.page.evaluate(
            """async () => {
                const timings = await import("./static/timings.js");
                for (const time of [9, 100, 10, 2, 11]) timings.note("other", 96, time);
                const answered = timings.median("other", 96);
                timings.measure("other", 96, [9, 100, 8]);
                return [answered, timings.atRest("unmeasured", 96), timings.median("other", 96)];
            }"""
        )
        assert median == [10, None, 9]  # of numbers, not of texts; those at rest come first
        # The published cost of MobileNetV1 0.25/128, and the accuracy that its card has.
        row = seen.page.locator("#model-table tbody tr", has_text=SMALL_V1)
        expect(row).to_contain_text("13.6 M")
        expect(row).to_contain_text("50.5 %")
