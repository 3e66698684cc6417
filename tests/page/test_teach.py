"""The Teach view: from nothing to a head of one's own, with a camera and dropped photos."""

from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.sync_api import Browser, FilePayload, Locator, Page, Route, expect
from pydantic import SecretStr

from tests.app.training.colours import KEY, admin, settings
from tests.app.training.colours import photo as coloured
from tests.conftest import REAL_MODEL
from tests.page.accessibility import violations
from tests.page.browser import DESK, PHONE, Visit, visit
from tests.page.test_flow import overflows
from tests.processes import until
from tests.serving import served

PLAIN_KEY = "only-for-predictions"


@pytest.fixture(scope="module")
def teacher(page_store: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """An administrator of a service that can be taught; everything needs a key.

    To a network with random weights, all photos are near-duplicates.
    """
    folder = tmp_path_factory.mktemp("taught")
    changes: dict[str, Any] = {
        "default_model": REAL_MODEL,
        "api_keys": (SecretStr(PLAIN_KEY),),
        "capture": folder / "captures",
        "capture_below": 1,  # all images that are not alike
    }
    with served(settings(page_store, folder / "heads", **changes)) as client:
        yield admin(client)


def card(page: Page, label: str) -> Locator:
    return page.locator(".class").filter(has=page.locator(f"ul[aria-label='Photos of {label}']"))


def files(label: str, *numbers: int) -> list[FilePayload]:
    return [
        FilePayload(
            name=f"{label}{number}.jpg", mimeType="image/jpeg", buffer=coloured(label, number)
        )
        for number in numbers
    ]


def add_class(page: Page, label: str) -> None:
    page.get_by_label("Name of a new class").fill(label)
    page.keyboard.press("Enter")
    expect(card(page, label)).to_be_visible()


def choose(page: Page, label: str, button: str, chosen: list[FilePayload] | Path) -> None:
    with page.expect_file_chooser() as chooser:
        card(page, label).get_by_role("button", name=button).click()
    chooser.value.set_files(chosen)


def train(page: Page) -> None:
    page.get_by_role("button", name="Train", exact=True).click()
    expect(page.locator("#train-state")).to_contain_text("classes, trained")


def open_with_admin_key(page: Page) -> None:
    page.get_by_label("API key").fill(PLAIN_KEY)
    page.keyboard.press("Enter")
    expect(page.locator("#key-reason")).to_have_text("This needs the admin key.")
    page.get_by_label("API key").fill(KEY)
    page.keyboard.press("Enter")


def take_photos(page: Page, label: str) -> None:
    """Hold the button with the mouse for three photos or more, then with the keyboard."""
    hold = card(page, label).get_by_role("button", name="Hold to take photos")
    count = card(page, label).locator(".count")
    hold.hover()
    page.mouse.down()
    expect(card(page, label).locator(".tile").nth(2)).to_be_visible()
    page.mouse.up()
    expect(count).not_to_contain_text("+")  # nothing is on its way
    hold.focus()
    before = count.inner_text()
    page.keyboard.down(" ")
    expect(count).not_to_have_text(before)
    page.keyboard.up(" ")
    expect(count).not_to_contain_text("+")
    assert int(count.inner_text()) > int(before)


def teach(seen: Visit, head: str, folder: Path) -> None:
    """From nothing to three classes with photos from the camera, of files and of a folder."""
    page = seen.page
    page.get_by_label("Name of the new head").fill(head)
    page.keyboard.press("Enter")
    for label in ("camera", "red", "blue/é"):
        add_class(page, label)
    take_photos(page, "camera")
    (folder / "more").mkdir(parents=True)
    for number, of in enumerate((folder, folder / "more") * 2):
        (of / f"{number}.jpg").write_bytes(coloured("closed", number))
    choose(page, "blue/é", "Choose a folder", folder)
    broken = FilePayload(name="notes.jpg", mimeType="image/jpeg", buffer=b"no image")
    red = [*files("open", *range(4)), *files("closed", 9), broken]
    choose(page, "red", "Choose photos", red)
    choose(page, "camera", "Choose photos", files("none", *range(4)))
    expect(card(page, "blue/é").locator(".count")).to_have_text("4")
    expect(card(page, "red").locator(".count")).to_have_text("5")
    expect(card(page, "red").locator(".error")).to_contain_text("notes.jpg was not added")
    card(page, "red").locator(".tile").last.scroll_into_view_if_needed()  # it loads what is seen
    expect(card(page, "red").locator("img[src]")).to_have_count(5)
    assert not overflows(page)
    train(page)


def move_captures(seen: Visit, teacher: httpx.Client, cat: Path, label: str) -> None:
    """Have two images captured, and move both to a class at once."""
    page = seen.page
    teacher.delete("/captures")
    for image in (coloured("none", 40), cat.read_bytes()):
        assert teacher.post("/predict?model=desk", content=image).status_code == 200
    until(lambda: len(teacher.get("/captures").json()["captures"]) == 2, "two captures")
    page.get_by_role("button", name="Refresh").click()
    tiles = page.locator("#captures-grid .tile")
    expect(tiles).to_have_count(2)
    tiles.last.scroll_into_view_if_needed()
    expect(page.locator("#captures-grid img[src]")).to_have_count(2)
    page.locator("#captures-all").click()
    expect(page.locator("#selection-count")).to_have_text("2 selected")
    seen.shoot("desk-12-captures")
    page.locator("#selection-label").select_option(label)
    page.get_by_role("button", name="Move", exact=True).click()
    expect(tiles).to_have_count(0)
    assert teacher.get("/captures").json()["captures"] == []


def check_report(page: Page, report: dict[str, Any]) -> None:
    """The report on the page is that of the API."""
    shown = page.locator(".accuracy b").inner_text().removesuffix("\u00a0%")
    assert float(shown) == pytest.approx(100 * report["accuracy"], abs=0.05)
    assert report["labels"] == ["blue/é", "camera", "red"]
    expect(page.locator(".confusion tbody th")).to_have_text(report["labels"])
    cells = page.locator(".confusion td:not(:empty)").all_inner_texts()
    assert [int(cell.replace("·", "0")) for cell in cells] == [*chain(*report["confusion"])]
    expect(page.locator(".notes")).to_contain_text("`blue/é` has 4 photos")


def test_a_head_is_taught_and_tried_on_a_phone(
    browser: Browser, teacher: httpx.Client, tmp_path: Path
) -> None:
    with visit(browser, f"{teacher.base_url}/teach", PHONE) as seen:
        page = seen.page
        open_with_admin_key(page)
        teach(seen, "phone", tmp_path / "blue")
        check_report(page, teacher.get("/heads/phone").json()["report"])
        page.get_by_label("Try it live").check()
        expect(page.locator("#answer .labels li")).to_have_count(4)  # unknown is the fourth
        seen.shoot("phone-11-teach", whole=True)
        page.get_by_label("Try it live").uncheck()
        [photo] = files("open", 30)
        page.locator("#try-file").set_input_files([photo])
        expect(page.locator("#answer img")).to_be_visible()
        # "red" or "unknown", by the frames of the camera that happened to be taught.
        query = {"model": "phone", "top_k": "1"}
        answer = teacher.post("/predict", params=query, content=photo["buffer"]).json()
        label = answer["results"][0]["predictions"][0]["label"]
        expect(page.locator("#answer .label").first).to_have_text(label)
        assert not overflows(page)
        assert violations(page) == []


def test_a_head_is_corrected_undone_downloaded_and_deleted(
    browser: Browser, teacher: httpx.Client, tmp_path: Path, photo: Path
) -> None:
    with visit(browser, f"{teacher.base_url}/teach", DESK) as seen:
        page = seen.page
        page.on("dialog", lambda asked: asked.accept())
        open_with_admin_key(page)
        if teacher.get("/heads").json()["heads"]:
            page.get_by_label("Head", exact=True).select_option("")
        teach(seen, "desk", tmp_path / "blue")
        report = teacher.get("/heads/desk").json()["report"]
        check_report(page, report)
        seen.shoot("desk-11-teach", whole=True)

        card(page, "red").locator(".tile").first.click()
        page.locator("#selection-label").select_option("blue/é")
        page.get_by_role("button", name="Move", exact=True).click()
        expect(card(page, "blue/é").locator(".count")).to_have_text("5")
        expect(page.locator("#train-state")).to_contain_text("have changed")
        card(page, "red").locator(".tile").first.focus()
        page.keyboard.press("Delete")
        expect(card(page, "red").locator(".count")).to_have_text("3")
        name = card(page, "blue/é").get_by_label("Name of the class")
        name.fill("blue")
        name.press("Enter")
        expect(card(page, "blue").locator(".count")).to_have_text("5")
        labels = teacher.get("/heads/desk").json()["labels"]
        assert (labels["blue"], labels["red"]) == (5, 3)

        move_captures(seen, teacher, photo, "red")
        expect(card(page, "red").locator(".count")).to_have_text("5")

        train(page)
        page.get_by_role("button", name="Undo").click()
        expect(page.locator("#train-state")).to_contain_text("have changed")
        assert teacher.get("/heads/desk").json()["report"] == report
        with page.expect_download() as downloading:
            page.get_by_role("button", name="Download").click()
        assert downloading.value.suggested_filename == "desk.head.npz"
        served_file = teacher.get("/heads/desk/head.npz").content
        assert downloading.value.path().read_bytes() == served_file

        page.reload()
        expect(page.get_by_label("Head", exact=True)).to_have_value("desk")
        card(page, "camera").get_by_role("button", name="Delete class").click()
        expect(page.locator(".class")).to_have_count(2)
        page.get_by_role("button", name="Delete head").click()
        expect(page.locator("#head option[value=desk]")).to_have_count(0)
        assert teacher.get("/heads/desk").status_code == 404
        assert not [error for error in seen.errors if "Failed to load" not in error]


def test_the_view_says_how_teaching_is_enabled(browser: Browser, address: str) -> None:
    with visit(browser, f"{address}/teach", PHONE) as seen:
        expect(seen.page.locator("#head-error")).to_contain_text("GATEWAY_HEADS")
        expect(seen.page.locator("#chooser")).to_be_hidden()


def test_the_head_that_was_chosen_last_is_shown_however_late_another_is_loaded(
    browser: Browser, teacher: httpx.Client
) -> None:
    for head, label in (("early", "red"), ("last", "blue")):
        taught = teacher.post(f"/heads/{head}/examples/{label}", content=coloured("open", 0))
        assert taught.status_code == 201
    with visit(browser, f"{teacher.base_url}/teach#last", DESK) as seen:
        page = seen.page
        open_with_admin_key(page)
        held: list[Route] = []
        page.route("**/heads/early", lambda route: held.append(route))
        chooser = page.get_by_label("Head", exact=True)
        expect(chooser).to_have_value("last")
        with page.expect_request("**/heads/early"):
            chooser.select_option("early")
        with page.expect_response("**/heads/last"):
            chooser.select_option("last")
        with page.expect_response("**/heads/early"):
            held[0].continue_()
        page.evaluate("new Promise(next => setTimeout(next))")  # the page has read the answer
        expect(card(page, "blue")).to_be_visible()
        expect(chooser).to_have_value("last")
    for head in ("early", "last"):
        teacher.delete(f"/heads/{head}")
