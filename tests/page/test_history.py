"""The history of a visit: thumbnails, and a file that is safe to open in a spreadsheet."""

import csv
from copy import deepcopy
from typing import Any

from playwright.sync_api import Browser, FilePayload, expect

from app.http import assets
from tests.page.browser import DESK, visit
from tests.page.test_figures import ANSWER, answered

NAMES = ["=1+1.jpg", "+a.jpg", "-a.jpg", "@a.jpg", " =a.jpg", 'a,"b".jpg', "plain.jpg"]
SHOWN = 20


def with_label(label: str) -> dict[str, Any]:
    answer: dict[str, Any] = deepcopy(ANSWER)
    answer["results"][0]["predictions"][0]["label"] = label
    return answer


def test_the_history_is_bounded_and_its_file_runs_no_formula(
    browser: Browser, address: str
) -> None:
    photo = assets.asset("examples/rocket.jpg").plain
    names = [*NAMES, *(f"{number}.jpg" for number in range(SHOWN - 2))]
    with visit(browser, f"{address}/", DESK) as seen:
        page = seen.page
        page.route("**/predict?*", answered(200, with_label("=HYPERLINK(1)")))
        expect(page.locator("#state")).to_have_text("ready")
        files = [FilePayload(name=name, mimeType="image/jpeg", buffer=photo) for name in names]
        page.locator("#files").set_input_files(files)
        expect(page.locator("#history-count")).to_have_text(str(len(names)))
        page.get_by_text("History of this visit").click()
        small = page.locator("#history-rows img")
        expect(small).to_have_count(SHOWN)
        page.wait_for_function(
            """(images) => [...document.querySelectorAll(images)].every(
                ({ naturalHeight: height }) => 0 < height && height <= 100)""",
            arg="#history-rows img",
        )
        with page.expect_download() as downloading:
            page.get_by_role("button", name="Download as CSV").click()
        with downloading.value.path().open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
        assert seen.errors == []
    expected = [f"'{name}" if name.strip()[0] in "=+-@" else name for name in names]
    assert sorted(row["image"] for row in rows) == sorted(expected)
    assert {row["label"] for row in rows} == {"'=HYPERLINK(1)"}
