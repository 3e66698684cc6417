"""The Watch view: cameras with their newest frame, zone and state, and the last events."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import httpx
import pytest
from PIL import Image
from playwright.sync_api import Browser, Locator, Page, expect
from pydantic import SecretStr

from app.http import assets
from app.settings import Settings
from tests.app.cameras.watched import put
from tests.conftest import REAL_MODEL, ROOT
from tests.page.accessibility import violations
from tests.page.browser import DESK, PHONE_DARK, TABLET, Screen, Visit, visit
from tests.page.test_flow import overflows
from tests.processes import until
from tests.serving import served

KEY = "only-to-look"
CAT = "Egyptian cat"
SEES = {
    "labels": [CAT], "in_a_row": 1, "start_probability": 0.3, "end_probability": 0.2,
    "cool_down_s": 0,
}  # fmt: skip
NEXT_FRAME = """new Promise(next =>
    requestAnimationFrame(() => requestAnimationFrame(() => setTimeout(next))))"""
ZONE = ((0.0, 0.0, 0.5, 1.0), (0.25, 0.5, 0.5, 0.5))


@dataclass
class Gateway:
    """A service with two cameras, and what they see."""

    client: httpx.Client  # with the key
    gate: Path
    yard: Path
    count: int = 0

    @property
    def address(self) -> str:
        return f"{self.client.base_url}/watch"

    def see(self, folder: Path, image: bytes) -> None:
        """Give a camera its next frame."""
        self.count += 1
        put(folder, f"{self.count}.jpg", image)

    def status(self, camera: str) -> dict[str, Any]:
        found = {one["name"]: one for one in self.client.get("/cameras").json()["cameras"]}
        return dict(found[camera])

    def empty_the_gate(self) -> None:
        """Let the gate see a wall, and end the cat if there is one."""
        seen = self.status("gate")["frames_seen"]
        self.see(self.gate, wall())
        until(lambda: self.status("gate")["frames_seen"] > seen, "the frame has arrived")
        until(lambda: self.status("gate")["label"] is None, "the cat is gone")


def cat() -> bytes:
    return assets.asset("examples/cat.jpg").plain


def wall(width: int = 320, height: int = 240) -> bytes:
    buffer = BytesIO()
    Image.new("RGB", (width, height), "grey").save(buffer, "JPEG")
    return buffer.getvalue()


@pytest.fixture(scope="module")
def gateway(page_store: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    folders = [tmp_path_factory.mktemp(name) for name in ("gate", "yard")]
    tables = {
        "gate": {"source": str(folders[0]), "stalled_s": 3600, **SEES},
        "yard": {"source": str(folders[1]), "rotation": 90, "zone": ZONE, "stalled_s": 1, **SEES},
    }
    settings = Settings(
        store=page_store,
        models=(REAL_MODEL,),
        default_model=REAL_MODEL,
        measure_s=0,
        api_keys=(SecretStr(KEY),),
    ).with_tables({"cameras": tables})
    with served(settings) as client:
        client.headers["X-API-Key"] = KEY
        opened = Gateway(client, folders[0], folders[1])
        until(lambda: opened.status("gate")["connected"], "a folder is watched")
        until(lambda: opened.status("yard")["connected"], "the other folder is watched")
        yield opened


def camera(page: Page, name: str) -> Locator:
    return page.locator(".camera-card").filter(has_text=name)


def frames(seen: Visit) -> int:
    return sum(address.endswith("/gate/frame.jpg") for address in seen.requests)


def type_key(page: Page) -> None:
    page.get_by_label("API key").fill(KEY)
    page.keyboard.press("Enter")


def give_key(page: Page) -> None:
    type_key(page)
    expect(page.locator("#state")).to_have_text("ready")


def size(image: Locator) -> list[int]:
    found: list[int] = image.evaluate("one => [one.naturalWidth, one.naturalHeight]")
    return found


def hide(page: Page, *, hidden: bool) -> None:
    """Put another tab in front, or take it away; Chromium without a screen hides none itself."""
    page.evaluate(
        """hidden => {
            Object.defineProperty(document, "hidden", { configurable: true, get: () => hidden });
            document.dispatchEvent(new Event("visibilitychange"));
        }""",
        hidden,
    )


def test_a_frame_its_label_and_its_events_appear_as_they_happen(
    browser: Browser, gateway: Gateway
) -> None:
    gateway.empty_the_gate()
    with visit(browser, gateway.address, PHONE_DARK) as seen:
        page = seen.page
        expect(page.get_by_label("API key")).to_be_focused()
        give_key(page)
        gate, newest = camera(page, "gate"), page.locator("#events li").first
        image = gate.get_by_alt_text("Newest frame of gate")
        expect(gate.locator(".badge")).to_have_text("online")
        expect(gate.locator(".present")).to_contain_text("No label")
        until(lambda: size(image) == [320, 240], "the wall is shown")
        gateway.see(gateway.gate, cat())
        expect(gate.locator(".present")).to_contain_text(re.compile(rf"{CAT} \d\d.\d\s% since \d"))
        expect(newest).to_contain_text(re.compile(rf"{CAT}.*gate.*started, \d\d"))
        until(lambda: size(image) == [384, 255], "the cat is shown")
        assert not overflows(page)
        assert violations(page) == []
        gateway.empty_the_gate()
        expect(newest).to_contain_text("ended after")
        expect(gate.locator(".present")).to_contain_text("No label")
        expect(page.locator("#said p", has_text="gate")).to_have_text(
            [f"gate: {CAT} started", f"gate: {CAT} ended"]
        )
        assert not [one for one in seen.requests if KEY in one]
        assert [one for one in seen.errors if "401" not in one] == []  # before the key was given
        page.reload()
        expect(newest).to_contain_text("ended after")  # the last events come with the page
        expect(page.locator("#said")).to_be_empty()  # and are not spoken


def test_the_zone_is_drawn_on_the_turned_frame_and_an_old_frame_is_said_to_be_old(
    browser: Browser, gateway: Gateway
) -> None:
    gateway.see(gateway.yard, wall(320, 240))
    with visit(browser, gateway.address, TABLET) as seen:
        page = seen.page
        give_key(page)
        yard = camera(page, "yard")
        until(lambda: size(yard.locator("img")) == [240, 320], "the turned frame is shown")
        lines = yard.locator(".line")
        expect(lines).to_have_count(2)
        sides = ("x", "y", "width", "height")
        drawn = [[float(line.get_attribute(side) or 0) for side in sides] for line in lines.all()]
        assert drawn == [[0, 0, 120, 320], [60, 160, 120, 160]]
        # The frame fills the height of its box, in the middle of it.
        box, line = yard.locator(".shot").bounding_box(), lines.first.bounding_box()
        assert box
        assert line
        assert line["height"] == pytest.approx(box["height"], abs=6)
        assert line["x"] == pytest.approx(box["x"] + box["width"] / 2 - line["width"], abs=6)
        expect(yard.locator(".age")).to_have_class(re.compile("stale"))
        expect(yard.locator(".badge")).to_have_text("online")
        expect(camera(page, "gate").locator(".stale")).to_have_count(0)
        seen.shoot("tablet-18-watch", whole=True)


def test_a_lost_camera_is_said_to_be_lost_and_why(
    browser: Browser, gateway: Gateway, tmp_path: Path
) -> None:
    with visit(browser, gateway.address, DESK) as seen:
        page = seen.page
        give_key(page)
        gate = camera(page, "gate")
        expect(gate.locator(".badge")).to_have_text("online")
        gateway.gate.rename(tmp_path / "gate")
        try:
            expect(gate.locator(".badge")).to_have_text("reconnecting")
            expect(gate.locator(".error")).to_contain_text("Cannot read the folder")
            expect(page.locator("#said")).to_contain_text("gate: reconnecting")
            assert violations(page) == []
            page.emulate_media(forced_colors="active")
            seen.shoot("desk-19-watch-lost")
        finally:
            (tmp_path / "gate").rename(gateway.gate)
        expect(gate.locator(".badge")).to_have_text("online")
        expect(gate.locator(".error")).to_be_hidden()
        page.route("**/cameras", lambda route: route.abort())  # as if the network were down
        expect(gate.locator(".badge")).to_have_text("not known")
        page.unroute("**/cameras")
        expect(gate.locator(".badge")).to_have_text("online")


def test_frames_are_loaded_only_while_they_are_seen(browser: Browser, gateway: Gateway) -> None:
    gateway.empty_the_gate()
    with visit(browser, gateway.address, Screen("slit", 390, 300, dark=False, touch=True)) as seen:
        page = seen.page
        page.emulate_media(reduced_motion="reduce")  # scroll at once
        give_key(page)
        expect(camera(page, "gate").locator("img[src]")).to_have_count(1)
        page.locator("#events-title").scroll_into_view_if_needed()
        page.evaluate(NEXT_FRAME)  # by then the page knows what is in view
        loaded = frames(seen)
        gateway.see(gateway.gate, cat())
        expect(camera(page, "gate").locator(".present")).to_contain_text(CAT)
        assert frames(seen) == loaded
        hide(page, hidden=True)
        gateway.empty_the_gate()
        page.locator("#title").scroll_into_view_if_needed()
        page.evaluate(NEXT_FRAME)
        assert frames(seen) == loaded
        hide(page, hidden=False)
        expect(page.locator("#events li").first).to_contain_text("ended after")  # it was missed
        until(lambda: size(camera(page, "gate").locator("img")) == [320, 240], "the wall is shown")
        assert frames(seen) > loaded


def test_a_gateway_without_cameras_says_how_to_watch_one(browser: Browser, address: str) -> None:
    with visit(browser, f"{address}/watch", DESK) as seen:
        page = seen.page
        expect(page.get_by_text("This gateway watches no camera yet.")).to_be_visible()
        example = page.get_by_label("Example of settings").inner_text()
        assert example in (ROOT / "docs" / "cameras.md").read_text("utf-8")
        assert example.startswith("[cameras.gate]")
        assert violations(page) == []
        page.get_by_role("link", name="Classify").click()
        expect(page.locator("#state")).to_have_text("ready")
        expect(page.get_by_role("link", name="Watch")).to_be_hidden()
        assert seen.errors == []
        with page.expect_response("**/info"):
            page.get_by_role("link", name="Teach").click()
        expect(page.get_by_role("link", name="Watch")).to_be_hidden()


@pytest.mark.parametrize("path", ["/", "/teach"])
def test_the_other_pages_lead_to_the_cameras_where_there_are_any(
    browser: Browser, gateway: Gateway, path: str
) -> None:
    with visit(browser, f"{gateway.client.base_url}{path}", PHONE_DARK) as seen:
        type_key(seen.page)
        expect(seen.page.get_by_role("link", name="Watch")).to_be_visible()
        last = seen.page.get_by_role("link", name="API").bounding_box()
        assert last
        assert last["x"] + last["width"] <= PHONE_DARK.width
        seen.page.get_by_role("link", name="Watch").click()
        expect(camera(seen.page, "gate")).to_be_visible()
