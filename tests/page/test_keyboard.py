"""The keyboard is enough for everything, and the focus can always be seen."""

from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.conftest import REAL_MODEL, SMALL_V1
from tests.page.browser import DESK, PHONE_DARK, Screen, visit, wait_for_answers

TABS = 150  # more than the page has stops
FOCUS = """(wanted) => {
    const one = document.activeElement;
    const {outlineStyle: style, outlineWidth: width} = getComputedStyle(one);
    const {top, bottom, left, right} = one.getBoundingClientRect();
    const isInside = bottom > 0 && top < innerHeight && right > 0 && left < innerWidth;
    const isOnTop = isInside && bottom > top && right > left;
    return [one.matches(wanted), style !== "none" && parseFloat(width) >= 2 && isOnTop,
        one.outerHTML.slice(0, 200)];
}"""


def tab_to(page: Page, selector: str) -> None:
    """Press Tab until an element has the focus; see where it is on the way."""
    for _ in range(TABS):
        page.keyboard.press("Tab")
        found, is_seen, element = page.evaluate(FOCUS, selector)
        assert is_seen or element.startswith("<body"), element
        if found:
            return
    pytest.fail(f"Tab does not lead to {selector}")


@pytest.mark.parametrize("screen", [DESK, PHONE_DARK], ids=lambda screen: screen.name)
def test_the_keyboard_is_enough(
    browser: Browser, address: str, photo: Path, screen: Screen
) -> None:
    with visit(browser, f"{address}/", screen) as seen:
        page = seen.page
        page.emulate_media(reduced_motion="reduce")  # else what has the focus may still scroll
        expect(page.locator("#state")).to_have_text("ready")
        keys = page.keyboard

        def press(selector: str, key: str = "Enter") -> None:
            tab_to(page, selector)
            keys.press(key)

        press(".skip")
        tab_to(page, "#choose")
        assert page.evaluate("document.activeElement.closest('section').id") == "classify"
        with page.expect_file_chooser() as chooser:
            keys.press("Enter")
        chooser.value.set_files(str(photo))
        wait_for_answers(page, REAL_MODEL)
        press("#camera-start")
        expect(page.locator("#camera-take")).to_be_focused()
        keys.press("Enter")
        expect(page.locator(".result h2")).to_have_text("camera.jpg")
        press("#camera-keep", "Space")
        expect(page.locator("#seen")).to_be_visible()
        press("#camera-stop")
        expect(page.locator("#camera-start")).to_be_focused()

        press(".examples button")
        expect(page.locator(".label").first).to_have_text("Egyptian cat")
        press(".more summary")
        expect(page.get_by_text("lynx")).to_be_visible()
        press(".why button")
        expect(page.get_by_alt_text("Yellow is where")).to_be_visible()
        press("#history summary")
        with page.expect_download():
            press("#history-download")
        if screen.touch:
            press("#fold > summary")
        tab_to(page, "#model")
        keys.type(SMALL_V1)
        wait_for_answers(page, SMALL_V1)
        tab_to(page, "#resolution")
        keys.press("ArrowRight")
        expect(page.locator(".answer")).to_contain_text(f"{SMALL_V1} at 160 px")
        tab_to(page, "#compare")
        keys.type(REAL_MODEL)
        expect(page.locator(".pair > div")).to_have_count(2)
        press("#cost button")
        expect(page.locator("#term-madds")).to_be_visible()
        keys.press("Escape")
        press("#copy-python")
        expect(page.locator("#snippet")).to_contain_text("urlopen")

        tab_to(page, "#model-table tbody button")
        keys.press("Enter")
        wait_for_answers(page, REAL_MODEL)
        assert page.evaluate("document.activeElement.matches('#model-table tbody button')")
        tab_to(page, "#layer")
        keys.press("Home")
        expect(page.locator("#layer-readout")).to_contain_text("stem")
        seen.shoot(f"{screen.name}-6-keyboard")
        assert seen.errors == []
