"""The page while the service takes its time to answer."""

from pathlib import Path

from playwright.sync_api import Browser, Route, expect

from tests.conftest import SMALL_V1
from tests.page.browser import DESK, choose_photos, visit


def test_the_resolution_waits_for_the_limits_of_the_chosen_model(
    browser: Browser, address: str
) -> None:
    seen_disabled: list[bool] = []
    with visit(browser, f"{address}/", DESK) as seen:
        page = seen.page
        expect(page.locator("#state")).to_have_text("ready")
        resolution = page.get_by_label("Resolution")
        expect(resolution).to_have_value("224")

        def answer(route: Route) -> None:
            seen_disabled.append(resolution.is_disabled())
            route.continue_()

        page.route(f"**/models/{SMALL_V1}", answer)
        page.get_by_label("Model", exact=True).select_option(SMALL_V1)
        expect(resolution).to_have_value("128")
        assert seen_disabled == [True]
        resolution.fill("160")
        expect(page.locator("#fold-model")).to_have_text(f"{SMALL_V1} at 160 px")


def test_the_resolution_of_the_model_before_can_be_set_when_a_choice_fails(
    browser: Browser, address: str
) -> None:
    with visit(browser, f"{address}/", DESK) as seen:
        page = seen.page
        expect(page.locator("#state")).to_have_text("ready")
        page.route(f"**/models/{SMALL_V1}", lambda route: route.abort())
        page.get_by_label("Model", exact=True).select_option(SMALL_V1)
        resolution = page.get_by_label("Resolution")
        expect(page.get_by_role("alert")).not_to_be_empty()
        expect(resolution).to_be_enabled()
        resolution.fill("192")
        expect(page.locator("#fold-model")).to_contain_text("at 192 px")


def test_a_late_rejection_does_not_ask_again_for_the_key_that_was_declined(
    browser: Browser, address: str, photo: Path
) -> None:
    """Of several images that are sent at once, the last answer may come after the user's."""
    held: list[Route] = []

    def answer(route: Route) -> None:
        if held:
            reject(route)
        else:
            held.append(route)

    with visit(browser, f"{address}/", DESK) as seen:
        page = seen.page
        expect(page.locator("#state")).to_have_text("ready")
        page.route("**/predict*", answer)
        choose_photos(page, *[photo] * 2)
        key = page.get_by_label("API key")
        expect(key).to_be_focused()
        page.keyboard.press("Escape")
        expect(page.locator(".answer", has_text="Unauthorized")).to_have_count(1)
        reject(held[0])
        expect(page.locator("#tally")).to_contain_text("2 failed")
        expect(key).to_be_hidden()


def reject(route: Route) -> None:
    problem = {"title": "Unauthorized", "detail": "A key is needed.", "status": 401}
    route.fulfill(status=401, json=problem)
