"""The report of a lesson as one HTML file: figures, confusion matrix, and the worst photos.

The photos are in it as small JPEGs, so that it can be sent and kept.
"""

import base64
import io
from collections.abc import Iterable
from html import escape
from pathlib import Path

from PIL import Image

from app.card.card import Preprocessing
from app.errors import RequestError
from app.teaching.photos import PhotoReader
from app.teaching.report import TeachingReport, WrongPhoto

THUMBNAIL_PIXELS = 160
WHOLE = Preprocessing(resize="shortest_edge", crop_fraction=1, interpolation="bilinear")
STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
table { border-collapse: collapse; margin: 1rem 0; }
th, td { padding: .25rem .75rem; text-align: right; }
th:first-child, td:first-child { text-align: left; }
td.right { font-weight: 600; }
figure { display: inline-block; margin: 0 1rem 1rem 0; width: 160px; vertical-align: top; }
figure img { width: 160px; height: 160px; border-radius: 6px; }
figcaption { font-size: 13px; overflow-wrap: anywhere; }
"""


def report_page(name: str, report: TeachingReport, folder: Path, reader: PhotoReader) -> str:
    """HTML of the report of the head called `name`; the photos are read from `folder`."""
    parts = [
        f"<h1>{escape(name)}</h1>",
        f"<p>{escape(_summary(report))}</p>",
        *(f"<p><strong>{escape(warning)}</strong></p>" for warning in report.warnings),
        _classes(report),
        _confusion(report),
        _photos(report.worst, folder, reader),
        _list("Near-duplicates", (", ".join(group) for group in report.near_duplicates)),
        _list("Skipped files", (f"{one.file}: {one.reason}" for one in report.skipped)),
    ]
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{escape(name)}</title>'
        f"<style>{STYLE}</style><body>{''.join(parts)}</body></html>\n"
    )


def _summary(report: TeachingReport) -> str:
    text = f"{report.photos} photos on {report.base}. "
    if report.accuracy is None or report.interval is None:
        return text + "The accuracy is unknown."
    low, high = report.interval
    text += (
        f"{report.accuracy:.1%} of held-out photos are right "
        f"(95 % interval {low:.0%} to {high:.0%})."
    )
    if report.false_alarm is None:
        return text
    return f"{text} {report.false_alarm:.1%} of them are unknown."


def _classes(report: TeachingReport) -> str:
    rows = [
        (row.label, str(row.photos), _percent(row.recall), _percent(row.rejected_when_left_out))
        for row in report.classes
    ]
    return _table(("class", "photos", "right", "unknown if not taught"), rows)


def _confusion(report: TeachingReport) -> str:
    if report.confusion is None:
        return ""
    rows = [
        (label, *(str(count) for count in counts))
        for label, counts in zip(report.labels, report.confusion, strict=True)
    ]
    table = _table(("", *report.labels), rows, diagonal=True)
    return f"<h2>Held-out photos: class by row, answer by column</h2>{table}"


def _table(
    headings: Iterable[str], rows: Iterable[tuple[str, ...]], *, diagonal: bool = False
) -> str:
    head = "".join(f"<th>{escape(heading)}</th>" for heading in headings)
    body = ""
    for at, row in enumerate(rows, start=1):
        marks = (
            ' class="right"' if diagonal and at == column else "" for column in range(len(row))
        )
        cells = zip(marks, row, strict=True)
        body += "<tr>" + "".join(f"<td{mark}>{escape(cell)}</td>" for mark, cell in cells) + "</tr>"
    return f"<table><tr>{head}</tr>{body}</table>"


def _photos(worst: Iterable[WrongPhoto], folder: Path, reader: PhotoReader) -> str:
    figures = "".join(
        f'<figure><img alt="" src="{_thumbnail(folder / photo.file, reader)}"><figcaption>'
        f"{escape(photo.file)}<br>{escape(photo.predicted)} {photo.probability:.2f}"
        "</figcaption></figure>"
        for photo in worst
    )
    return f"<h2>Wrong and sure</h2>{figures}" if figures else ""


def _thumbnail(path: Path, reader: PhotoReader) -> str:
    """A data URL of a photo; empty if it is gone by now."""
    try:
        pixels = reader.decode(path.read_bytes(), THUMBNAIL_PIXELS, WHOLE)
    except (OSError, RequestError):
        return ""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=80)
    return f"data:image/jpeg;base64,{base64.b64encode(buffer.getvalue()).decode('ascii')}"


def _list(title: str, lines: Iterable[str]) -> str:
    items = "".join(f"<li>{escape(line)}</li>" for line in lines)
    return f"<h2>{title}</h2><ul>{items}</ul>" if items else ""


def _percent(share: float | None) -> str:
    return "" if share is None else f"{share:.0%}"
