"""A service with keys: the page asks for one, keeps it for the tab, and never shows it."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect
from pydantic import SecretStr

from app.settings import Settings
from tests.conftest import REAL_MODEL
from tests.page.browser import DESK, PHONE_DARK, choose_photos, visit, wait_for_answers
from tests.page.test_snippets import answers_of_both
from tests.serving import served

KEY = "a-good-key"


@pytest.fixture(scope="module")
def guarded(page_store: Path) -> Iterator[str]:
    settings = Settings(store=page_store, models=(REAL_MODEL,), api_keys=(SecretStr(KEY),))
    with served(settings) as client:
        yield str(client.base_url).rstrip("/")


def test_the_page_asks_for_a_key_until_it_is_accepted(
    browser: Browser, guarded: str, photo: Path
) -> None:
    with visit(browser, f"{guarded}/", PHONE_DARK) as seen:
        page = seen.page
        field = page.get_by_label("API key")
        expect(field).to_be_focused()
        seen.shoot("phone-dark-8-key")
        field.fill("wrong-key")
        field.press("Enter")
        expect(page.locator("#key-reason")).to_contain_text("rejected this key")
        field.fill(KEY)
        field.press("Enter")
        expect(page.locator("#state")).to_have_text("ready")
        choose_photos(page, photo)
        wait_for_answers(page, REAL_MODEL)
        assert not [
            address for address in seen.requests if "key" in address.rpartition("/static/")[0]
        ]
        page.reload()
        expect(page.locator("#state")).to_have_text("ready")  # the tab still has the key
        page.get_by_role("button", name="Forget key").click()
        expect(page.locator("#banner")).to_contain_text("Unauthorized")
        expect(page.get_by_label("API key")).to_be_hidden()
        page.get_by_role("button", name="Enter a key").click()
        expect(page.get_by_label("API key")).to_be_focused()


def test_the_page_reports_the_error_when_no_key_is_given(browser: Browser, guarded: str) -> None:
    with visit(browser, f"{guarded}/", DESK) as seen:
        seen.page.get_by_role("button", name="Not now").click()
        expect(seen.page.locator("#banner")).to_contain_text("Unauthorized")


def test_copied_code_takes_the_key_from_the_environment(
    browser: Browser, guarded: str, photo: Path, tmp_path: Path
) -> None:
    with visit(browser, f"{guarded}/", DESK) as seen:
        page = seen.page
        page.get_by_label("API key").fill(KEY)
        page.keyboard.press("Enter")
        expect(page.locator("#state")).to_have_text("ready")
        curl, python = answers_of_both(page, photo, tmp_path, KEY=KEY)
        assert curl == python
        assert curl[0].startswith("Egyptian cat")
        assert KEY not in page.content()


def test_a_key_that_is_not_given_is_asked_for_once_and_not_for_each_image(
    browser: Browser, guarded: str, photo: Path
) -> None:
    with visit(browser, f"{guarded}/", DESK) as seen:
        page = seen.page
        page.get_by_label("API key").fill(KEY)
        page.keyboard.press("Enter")
        expect(page.locator("#state")).to_have_text("ready")
        page.evaluate("sessionStorage.clear()")
        page.locator("#files").set_input_files([photo] * 9)
        expect(page.get_by_label("API key")).to_be_focused()
        page.keyboard.press("Escape")
        expect(page.locator("#tally")).to_contain_text("9 failed")
        expect(page.locator(".answer")).to_contain_text(["Unauthorized"] * 9)
        expect(page.get_by_label("API key")).to_be_hidden()


def test_the_reference_asks_for_the_key_too(browser: Browser, guarded: str) -> None:
    with visit(browser, f"{guarded}/docs", DESK) as seen:
        seen.page.get_by_label("API key").fill(KEY)
        seen.page.keyboard.press("Enter")
        expect(seen.page.locator(".operation").first).to_be_visible()
