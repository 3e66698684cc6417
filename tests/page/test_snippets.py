"""The copied curl command and Python script get the answer that the page shows."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.conftest import REAL_MODEL, SMALL_V1
from tests.page.browser import DESK, choose_photos, visit


def copied(page: Page, name: str) -> str:
    """The code of a button, which it also shows."""
    page.get_by_role("button", name=name, exact=True).click()
    expect(page.locator("#copied")).not_to_be_empty()
    return page.locator("#snippet").inner_text()


def ran(command: list[str], folder: Path, **variables: str) -> str:
    done = subprocess.run(
        command,
        cwd=folder,
        env=os.environ | {"NO_PROXY": "*"} | variables,
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout


def answers_of_both(page: Page, photo: Path, folder: Path, **variables: str) -> list[list[str]]:
    """The labels and probabilities that curl and Python get, as the script prints them."""
    (folder / "photo.jpg").unlink(missing_ok=True)
    (folder / "photo.jpg").symlink_to(photo)
    curl = ran(["sh", "-c", copied(page, "curl")], folder, **variables)
    predictions = json.loads(curl)["results"][0]["predictions"]
    python = ran([sys.executable, "-c", copied(page, "Python")], folder, **variables)
    return [
        [f"{one['label']} {one['probability']}" for one in predictions],
        python.splitlines(),
    ]


@pytest.mark.parametrize("model", [SMALL_V1, "auto"])
def test_copied_code_gives_the_answer_of_the_page(
    browser: Browser, address: str, photo: Path, tmp_path: Path, model: str
) -> None:
    with visit(browser, f"{address}/", DESK) as seen:
        page = seen.page
        expect(page.locator("#state")).to_have_text("ready")
        page.get_by_label("Model", exact=True).select_option(model)
        if model == "auto":
            page.get_by_label("Answer within").fill("9000")
            page.get_by_label("Answer within").press("Enter")
            answered_by = f"{REAL_MODEL} at 224 px"
        else:
            page.get_by_label("Resolution").fill("160")
            answered_by = f"{model} at 160 px"
        choose_photos(page, photo)
        expect(page.locator(".answer")).to_contain_text(answered_by)
        labels = page.locator(".labels .label").all_text_contents()  # also of what is folded
        shares = page.locator(".labels .share").all_text_contents()
        curl, python = answers_of_both(page, photo, tmp_path)
        assert curl == python
        found = [line.rpartition(" ") for line in curl]
        assert [label for label, _, _ in found] == labels
        percents = [float(share.removesuffix("\u00a0%")) for share in shares]
        assert [float(share) * 100 for *_, share in found] == pytest.approx(percents, abs=0.051)
