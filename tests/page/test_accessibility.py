"""Accessibility: axe-core finds nothing, and what it cannot see."""

import re
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.conftest import REAL_MODEL
from tests.page.accessibility import violations
from tests.page.browser import DESK, PHONE_DARK, Screen, choose_photos, visit, wait_for_answers

TERMS = {"Multiply-adds": "term-madds", "Activations": "term-activations", "Top-1": "term-top1"}
screens = pytest.mark.parametrize("screen", [DESK, PHONE_DARK], ids=lambda screen: screen.name)


def unfold_all(page: Page) -> None:
    page.evaluate("document.querySelectorAll('details').forEach(one => { one.open = true; })")


@screens
def test_axe_finds_nothing_on_the_page(
    browser: Browser, address: str, photo: Path, screen: Screen
) -> None:
    with visit(browser, f"{address}/", screen) as seen:
        page = seen.page
        expect(page.locator("#state")).to_have_text("ready")
        choose_photos(page, photo)
        wait_for_answers(page, REAL_MODEL)
        page.get_by_role("button", name="Why?").click()
        expect(page.get_by_alt_text("Yellow is where")).to_be_visible()
        unfold_all(page)
        page.get_by_role("button", name="curl", exact=True).click()
        expect(page.locator("#snippet")).to_be_visible()
        assert violations(page) == []


def test_the_label_is_spoken_and_terms_are_explained(
    browser: Browser, address: str, photo: Path
) -> None:
    with visit(browser, f"{address}/", DESK) as seen:
        page = seen.page
        choose_photos(page, photo)
        wait_for_answers(page, REAL_MODEL)
        expect(page.locator("#said")).to_have_text(re.compile(r"^Egyptian cat, 7[0-9.]+\s%$"))
        for term in ("Multiply-adds", "Activations", "Top-1"):
            meaning = page.locator(f"#{TERMS[term]}")
            expect(meaning).to_be_hidden()
            page.locator("#cost").get_by_role("button", name=term).press("Enter")
            expect(meaning).to_be_visible()
            page.keyboard.press("Escape")
            expect(meaning).to_be_hidden()
        button = page.locator("#models").get_by_role("button", name="frontier", exact=True)
        button.click()
        places = [one.bounding_box() for one in (button, page.locator("#term-frontier"))]
        assert places[0]
        assert places[1]
        assert abs(places[1]["y"] - places[0]["y"]) < 150  # on the spot
        assert seen.errors == []


def test_nothing_moves_where_motion_is_reduced(browser: Browser, address: str, photo: Path) -> None:
    with visit(browser, f"{address}/", DESK) as seen:
        page = seen.page
        page.emulate_media(reduced_motion="reduce")
        choose_photos(page, photo)
        wait_for_answers(page, REAL_MODEL)
        unfold_all(page)
        moving = page.evaluate(
            """() => [...document.querySelectorAll("*")].map((one) => getComputedStyle(one)).filter(
                (style) => style.transitionDuration !== "0s" || style.animationName !== "none"
                    || style.scrollBehavior !== "auto").length"""
        )
        assert moving == 0


def test_bars_are_seen_in_forced_colours(browser: Browser, address: str, photo: Path) -> None:
    with visit(browser, f"{address}/", DESK) as seen:
        page = seen.page
        page.emulate_media(forced_colors="active")
        choose_photos(page, photo)
        wait_for_answers(page, REAL_MODEL)
        for bar in (".labels .fill", ".strip .inference", ".column .fill"):
            colours = page.locator(bar).first.evaluate(
                "one => [one, document.body].map(of => getComputedStyle(of).backgroundColor)"
            )
            assert colours[0] != colours[1], bar
        seen.shoot("desk-14-forced-colours")


@screens
def test_axe_finds_nothing_in_the_reference(browser: Browser, address: str, screen: Screen) -> None:
    with visit(browser, f"{address}/docs", screen) as seen:
        operation = seen.page.locator("[id='POST-/predict']")
        operation.locator("summary").first.click()
        expect(operation.get_by_label("top_k")).to_be_visible()
        assert violations(seen.page) == []
