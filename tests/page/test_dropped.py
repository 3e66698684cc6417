"""What can be dropped and pasted: images, folders, and links that are not read."""

from base64 import b64encode
from pathlib import Path

from playwright.sync_api import Browser, Page, expect

from app.http import assets
from tests.conftest import REAL_MODEL
from tests.page.browser import DESK, visit, wait_for_answers

MOST = 500  # images at a time
ENDLESS = """() => {
    const file = {name: "a.png", file: (done) => done(new File(["a"], "a.png"))};
    const reader = {readEntries: (done) => done(Array(100).fill(file))};
    const folder = {isDirectory: true, name: "all", createReader: () => reader};
    const items = [{kind: "file", webkitGetAsEntry: () => folder}];
    return {items, files: [new File([], "all")]};
}"""
MANY = """(count) => ({items: [], files: Array(count).fill(new File(["a"], "a.png"))})"""
DROP = """(carried) => {
    const event = new Event("drop", {bubbles: true});
    Object.defineProperty(event, "dataTransfer", {value: {...carried, getData: () => ""}});
    document.body.dispatchEvent(event);
}"""
LINK = """([kind, text]) => {
    const carried = new DataTransfer();
    carried.setData(kind === "drop" ? "text/uri-list" : "text/plain", text);
    const event = kind === "drop"
        ? new DragEvent("drop", {dataTransfer: carried, bubbles: true})
        : new ClipboardEvent("paste", {clipboardData: carried, bubbles: true});
    document.body.dispatchEvent(event);
}"""


def drop(page: Page, path: Path) -> None:
    """Drop what is at a path onto the page, as the browser itself does it."""
    session = page.context.new_cdp_session(page)
    data = {"items": [], "files": [str(path)], "dragOperationsMask": 1}
    for kind in ("dragEnter", "dragOver", "drop"):
        event = {"type": kind, "x": 300, "y": 200, "data": data}
        session.send("Input.dispatchDragEvent", event)


def test_the_images_of_a_folder_are_classified(
    browser: Browser, address: str, photo: Path, tmp_path: Path
) -> None:
    for name in ("a.png", "inner/deep/b.PNG", ".hidden.png", ".cache/c.png"):
        path = tmp_path / "album" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(photo.read_bytes())  # browsers follow no links in folders
    (tmp_path / "album" / "notes.txt").write_text("no image", "utf-8")
    with visit(browser, f"{address}/", DESK) as seen:
        page = seen.page
        expect(page.locator("#state")).to_have_text("ready")
        drop(page, tmp_path / "album")
        wait_for_answers(page, REAL_MODEL, count=2)
        assert sorted(page.locator(".result h2").all_inner_texts()) == ["a.png", "b.PNG"]
        expect(page.locator("#tally")).to_contain_text("1 other file skipped")
        assert seen.errors == []


def test_a_folder_without_end_and_too_many_images_are_bounded(
    browser: Browser, address: str
) -> None:
    with visit(browser, f"{address}/", DESK) as seen:
        page = seen.page
        expect(page.locator("#state")).to_have_text("ready")
        page.evaluate(DROP, page.evaluate_handle(ENDLESS))
        expect(page.locator("#banner")).to_have_text(
            "Large folder: It has more than 5000 files. Drop a part of it."
        )
        expect(page.locator("#tally")).to_be_empty()
        page.evaluate(DROP, page.evaluate_handle(MANY, MOST + 1))
        expect(page.locator("#banner")).to_contain_text("The first 500 of 501")
        expect(page.locator(".result")).to_have_count(MOST)


def test_a_link_is_read_only_if_it_carries_the_image(browser: Browser, address: str) -> None:
    photo = b64encode(assets.asset("examples/cat.jpg").plain).decode()
    link = "http://192.0.2.1/cat.jpg"
    with visit(browser, f"{address}/", DESK) as seen:
        page = seen.page
        expect(page.locator("#state")).to_have_text("ready")
        for kind in ("drop", "paste"):
            page.evaluate(LINK, [kind, link])
            expect(page.locator("#banner")).to_contain_text("Links are not supported")
            page.evaluate("document.getElementById('banner').hidden = true")
        page.evaluate(LINK, ["drop", f"data:image/jpeg;base64,{photo}"])
        wait_for_answers(page, REAL_MODEL)
        expect(page.locator(".label").first).to_have_text("Egyptian cat")
        expect(page.locator("#banner")).to_be_hidden()
        assert not [one for one in seen.requests if "192.0.2.1" in one]
        assert seen.errors == []
