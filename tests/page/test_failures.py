"""What goes wrong: broken and large photos among good ones, and a service that ends."""

from pathlib import Path

from playwright.sync_api import Browser, FilePayload, expect

from app.http import assets
from app.settings import Settings
from tests.conftest import SMALL_V1
from tests.exports import export_random
from tests.page.browser import DESK, PHONE, visit, wait_for_answers
from tests.processes import LIVELINESS_S, launch, running
from tests.serving import served

GOOD = assets.asset("examples/rocket.jpg").plain


def test_each_photo_has_its_own_answer_or_error(browser: Browser, page_store: Path) -> None:
    settings = Settings(
        store=page_store, models=(SMALL_V1,), max_body_bytes=50_000, measure_s=0, cache=False
    )
    photos = {"good.jpg": GOOD, "cut.jpg": GOOD[:3000], "large.jpg": GOOD + bytes(60_000)}
    with served(settings) as client, visit(browser, f"{client.base_url}/", PHONE) as seen:
        page = seen.page
        expect(page.locator("#state")).to_have_text("ready")
        files = [
            FilePayload(name=name, mimeType="image/jpeg", buffer=photo)
            for name, photo in [*photos.items(), ("again.jpg", GOOD), ("text.jpg", b"no image")]
        ]
        page.locator("#files").set_input_files(files)
        expect(page.locator("#tally")).to_contain_text("3 failed")
        cards = page.locator(".result")
        for index, text in enumerate(
            (f"{SMALL_V1} at", "Damaged image", "50000 bytes", f"{SMALL_V1} at", "Not an image")
        ):
            expect(cards.nth(index)).to_contain_text(text)
        expect(page.get_by_text("no preview")).to_have_count(1)  # browsers show half a JPEG
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        seen.shoot("phone-16-failures", whole=True)


def test_the_page_says_that_the_service_ended_and_recovers(
    browser: Browser, tmp_path: Path
) -> None:
    store = tmp_path / "store"
    store.mkdir()
    export_random(store, "mobilenet_v1", 0.25, 128)
    photo = FilePayload(name="a.jpg", mimeType="image/jpeg", buffer=GOOD)
    with running(store) as service, visit(browser, f"{service.base_url}/", DESK) as seen:
        page = seen.page
        state = page.locator("#state")
        expect(state).to_have_text("ready")
        service.process.kill()
        service.wait()
        expect(state).to_have_text("not reachable")
        page.locator("#files").set_input_files(photo)
        expect(page.locator(".answer")).to_contain_text("asks again when the gateway is back")
        again = launch(store, tmp_path / "log.txt", port=service.port)
        try:
            expect(state).to_have_text("ready")
            wait_for_answers(page, SMALL_V1)
        finally:
            again.kill()
            again.wait(LIVELINESS_S)
