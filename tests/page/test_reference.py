"""The API reference at /docs, without a network."""

import json
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest
from playwright.sync_api import Browser, expect

from tests.conftest import REAL_MODEL
from tests.page.browser import DESK, PHONE_DARK, Screen, visit
from tests.processes import LIVELINESS_S


@pytest.mark.parametrize("screen", [DESK, PHONE_DARK], ids=lambda screen: screen.name)
def test_every_operation_and_schema_is_shown(
    browser: Browser, address: str, screen: Screen
) -> None:
    document = httpx.get(f"{address}/openapi.json", trust_env=False, timeout=LIVELINESS_S).json()
    with visit(browser, f"{address}/docs", screen) as seen:
        page = seen.page
        operations = page.locator("#operations > .operation")
        expect(operations).to_have_count(sum(map(len, document["paths"].values())))
        expect(page.locator("#schemas > details")).to_have_count(
            len(document["components"]["schemas"])
        )
        operations.filter(has_text="/predict").first.locator("summary").first.click()
        expect(page.get_by_text("Number of classes to return.").first).to_be_visible()
        seen.shoot(f"{screen.name}-9-reference", whole=True)
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        assert seen.errors == []
    own = urlsplit(address).netloc
    assert {urlsplit(one).netloc for one in seen.requests} == {own}


def test_an_operation_can_be_tried(browser: Browser, address: str, photo: Path) -> None:
    with visit(browser, f"{address}/docs#POST-/predict", DESK) as seen:
        operation = seen.page.locator("[id='POST-/predict']")
        operation.get_by_label("top_k").fill("2")
        operation.get_by_label("body").set_input_files(str(photo))
        operation.get_by_role("button", name="Send").click()
        shown = operation.locator("[role=status] pre")
        expect(shown).to_contain_text("Egyptian cat")
        answer = json.loads(shown.inner_text())
        assert answer["model"] == REAL_MODEL
        assert len(answer["results"][0]["predictions"]) == 2


def test_an_operation_of_the_protocol_can_be_tried_with_its_example(
    browser: Browser, address: str
) -> None:
    with visit(browser, f"{address}/docs#POST-/v2/models/{{name}}/infer", DESK) as seen:
        operation = seen.page.locator("[id='POST-/v2/models/{name}/infer']")
        expect(operation.locator("pre", has_text="curl")).to_contain_text("-d '{")
        operation.get_by_label("name").fill(REAL_MODEL)
        operation.get_by_role("button", name="Send").click()
        shown = operation.locator("[role=status] pre")
        expect(shown).to_contain_text("model_name")
        [output] = json.loads(shown.inner_text())["outputs"]
        assert (output["name"], output["shape"]) == ("probabilities", [1, 2])


def test_a_failed_operation_shows_the_reason(browser: Browser, address: str) -> None:
    with visit(browser, f"{address}/docs#GET-/models/{{name}}", DESK) as seen:
        operation = seen.page.locator("[id='GET-/models/{name}']")
        operation.get_by_label("name").fill("../mobilenet_v3")
        operation.get_by_role("button", name="Send").click()
        expect(operation.locator(".error")).to_contain_text("404")
