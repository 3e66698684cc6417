"""Debian's Chromium, driven by Playwright, on the screens that users have."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from playwright.sync_api import Browser, ConsoleMessage, Page, ViewportSize, expect, sync_playwright

CHROMIUM = shutil.which("chromium")
SHOTS = Path(__file__).with_name("shots")  # screenshots for people; not in git
ARGUMENTS = (
    "--no-sandbox",  # tests may run as root
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--use-fake-device-for-media-stream",
    "--use-fake-ui-for-media-stream",
)
PATIENCE_MS = 120_000  # more than anything takes on a loaded machine
expect.set_options(timeout=PATIENCE_MS)
# `make check-slow-page` shows what depends on the speed of the browser or of its connection.
SLOWER = int(os.environ.get("PAGE_SLOWER", "1"))
SLOW_ANSWER_MS = 300


@dataclass(frozen=True, slots=True)
class Screen:
    """The screen of a user."""

    name: str
    width: int
    height: int
    dark: bool
    touch: bool


DESK = Screen("desk", 1280, 800, dark=False, touch=False)
DESK_DARK = Screen("desk-dark", 1280, 800, dark=True, touch=False)
PHONE = Screen("phone", 390, 844, dark=False, touch=True)
PHONE_DARK = Screen("phone-dark", 390, 844, dark=True, touch=True)
TABLET = Screen("tablet", 820, 1180, dark=False, touch=True)
SCREENS = (DESK, DESK_DARK, PHONE, PHONE_DARK)


@contextmanager
def chromium() -> Iterator[Browser]:
    """One browser. While it is open this thread has a running event loop: open it late."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        try:
            yield browser
        finally:
            browser.close()


@dataclass(slots=True)
class Visit:
    """An open page with its errors and requests."""

    page: Page
    errors: list[str]  # of scripts and of the console, such as a blocked source
    requests: list[str]  # addresses of all requests

    def shoot(self, name: str, *, whole: bool = False) -> None:
        """Save a screenshot."""
        SHOTS.mkdir(exist_ok=True)
        self.page.screenshot(path=SHOTS / f"{name}.png", full_page=whole)


@contextmanager
def visit(browser: Browser, address: str, screen: Screen) -> Iterator[Visit]:
    """The page at an address in a new profile."""
    context = browser.new_context(
        viewport=ViewportSize(width=screen.width, height=screen.height),
        color_scheme="dark" if screen.dark else "light",
        has_touch=screen.touch,
        is_mobile=screen.touch,
        permissions=["camera"],
    )
    page = context.new_page()
    page.set_default_timeout(PATIENCE_MS)
    if SLOWER > 1:
        _slow_down(page)
    found = Visit(page, [], [])
    page.on("pageerror", lambda error: found.errors.append(str(error)))
    page.on("console", lambda said: _note(said, found.errors))
    page.on("request", lambda request: found.requests.append(request.url))
    # Chromium intercepts file choosers only while there is a listener, and adding one is
    # asynchronous: without this one, a key pressed right after `expect_file_chooser` is too early.
    page.on("filechooser", lambda _: None)
    try:
        page.goto(address)
        yield found
    finally:
        context.close()


def _slow_down(page: Page) -> None:
    tools = page.context.new_cdp_session(page)
    tools.send("Emulation.setCPUThrottlingRate", {"rate": SLOWER})
    tools.send("Network.enable")
    tools.send(
        "Network.emulateNetworkConditions",
        {
            "offline": False,
            "latency": SLOW_ANSWER_MS,
            "downloadThroughput": -1,
            "uploadThroughput": -1,
        },
    )


def _note(said: ConsoleMessage, errors: list[str]) -> None:
    # Chromium says so when a network of the machine comes or goes, such as one of Docker's.
    if said.type == "error" and "net::ERR_NETWORK_CHANGED" not in said.text:
        errors.append(said.text)


def choose_photos(page: Page, *photos: Path) -> None:
    """Choose files as if with the button, whose dialogue tests/page/test_keyboard.py opens."""
    page.locator("#files").set_input_files([str(photo) for photo in photos])


def wait_for_answers(page: Page, model: str, count: int = 1) -> None:
    expect(page.locator(".answer", has_text=f"{model} at")).to_have_count(count)
