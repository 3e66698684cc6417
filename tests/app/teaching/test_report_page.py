"""The page of a report, with a name and labels that would be HTML."""

import base64
import io
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from PIL import Image

from app.settings import Settings
from app.teaching.photos import PhotoReader
from app.teaching.report import ClassResult, FormResult, SkippedFile, TeachingReport, WrongPhoto
from app.teaching.report_page import report_page

LABEL = "<b>open</b>"


@pytest.fixture
def report() -> TeachingReport:
    return TeachingReport(
        base="base",
        forms=(FormResult(base="base", accuracy=0.75),),
        labels=("closed", LABEL),
        classes=(
            ClassResult(label="closed", photos=2, recall=1, rejected_when_left_out=0.5),
            ClassResult(label=LABEL, photos=2, recall=0.5, rejected_when_left_out=None),
        ),
        photos=4,
        views=4,
        folds=2,
        strength=0.01,
        temperature=1,
        accuracy=0.75,
        interval=(0.3, 0.95),
        confusion=((2, 0), (1, 1)),
        calibration_error=0.1,
        worst=(
            WrongPhoto(file="red.png", label=LABEL, predicted="closed", probability=0.9),
            WrongPhoto(file="gone.png", label=LABEL, predicted="closed", probability=0.8),
        ),
        near_duplicates=(("a.png", "b.png"),),
        skipped=(SkippedFile(file="x.txt", reason="no image"),),
        false_alarm=0.05,
        warnings=(),
        seconds=1,
    )


class Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.seen: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append(tag)


def test_page_shows_figures_and_photos(report: TeachingReport, tmp_path: Path) -> None:
    Image.new("RGB", (64, 48), (250, 10, 10)).save(tmp_path / "red.png")
    with PhotoReader.open(Settings()) as reader:
        text = report_page("gate & door", report, tmp_path, reader)
    assert "75.0% of held-out photos are right (95 % interval 30% to 95%)" in text
    assert "5.0% of them are unknown." in text
    assert '<td>closed</td><td class="right">2</td><td>0</td>' in text
    assert "closed 0.90" in text
    assert "a.png, b.png" in text
    assert "x.txt: no image" in text
    first, second = re.findall(r'src="([^"]*)"', text)
    picture = Image.open(io.BytesIO(base64.b64decode(first.partition("base64,")[2])))
    assert picture.size == (160, 160)
    assert picture.getpixel((80, 80)) == pytest.approx((250, 10, 10), abs=6)
    assert second == ""


def test_labels_and_names_are_text(report: TeachingReport, tmp_path: Path) -> None:
    with PhotoReader.open(Settings()) as reader:
        text = report_page("<script>alert(1)</script>", report, tmp_path, reader)
    tags = Tags()
    tags.feed(text)
    assert "script" not in tags.seen
    assert "b" not in tags.seen
    assert "&lt;b&gt;open&lt;/b&gt;" in text
