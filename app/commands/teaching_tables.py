"""The report of `mobilenet-gateway teach` on a terminal."""

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from app.commands.console import printable
from app.teaching.report import FormResult, TeachingReport

LISTED = 10  # groups of near-duplicates and skipped files
MAX_CONFUSION = 12  # classes whose confusion matrix still fits a terminal


def render_report(report: TeachingReport) -> Group:
    """All that `--json` says, with long lists cut."""
    parts: list[RenderableType] = [_classes(report)]
    if report.confusion and len(report.labels) <= MAX_CONFUSION:
        parts.append(_confusion(report))
    if report.worst:
        parts.append(_worst(report))
    parts += [
        Text(f"near-duplicates: {_names(group)}") for group in report.near_duplicates[:LISTED]
    ]
    parts += [
        Text(f"skipped: {printable(one.file)}: {printable(one.reason)}")
        for one in report.skipped[:LISTED]
    ]
    parts += [Text(f"warning: {printable(warning)}", "yellow") for warning in report.warnings]
    parts += [Text(_form(form)) for form in report.forms if len(report.forms) > 1]
    return Group(*parts, Text(_summary(report)))


def _form(form: FormResult) -> str:
    known = "unknown" if form.accuracy is None else f"{100 * form.accuracy:.1f} %"
    return f"held-out photos right on {form.base}: {known}"


def _summary(report: TeachingReport) -> str:
    if report.accuracy is None or report.interval is None:
        return f"{report.photos} photos on {report.base}; accuracy unknown"
    low, high = report.interval
    unknown = report.false_alarm
    return (
        f"{report.photos} photos on {report.base}: {100 * report.accuracy:.1f} % of held-out "
        f"photos right (95 % interval {100 * low:.0f} to {100 * high:.0f} %), "
        f"calibration error {100 * (report.calibration_error or 0):.1f} %"
        + ("" if unknown is None else f"; {100 * unknown:.1f} % of them unknown")
    )


def _classes(report: TeachingReport) -> Table:
    table = Table(box=box.SIMPLE_HEAD)
    for heading in ("class", "photos", "right", "unknown if not taught"):
        table.add_column(heading, no_wrap=True, justify="left" if heading == "class" else "right")
    for row in report.classes:
        shares = (_percent(row.recall), _percent(row.rejected_when_left_out))
        table.add_row(printable(row.label), str(row.photos), *shares)
    return table


def _confusion(report: TeachingReport) -> Table:
    table = Table(title="held-out photos: class by row, answer by column", box=box.SIMPLE_HEAD)
    table.add_column("", no_wrap=True)
    for label in report.labels:
        table.add_column(printable(label), no_wrap=True, justify="right")
    for label, counts in zip(report.labels, report.confusion or (), strict=True):
        table.add_row(printable(label), *(str(count) if count else "·" for count in counts))
    return table


def _worst(report: TeachingReport) -> Table:
    table = Table(title="wrong and sure", box=box.SIMPLE_HEAD)
    for heading in ("photo", "answer", "probability"):
        table.add_column(heading, no_wrap=True)
    for one in report.worst:
        table.add_row(printable(one.file), printable(one.predicted), f"{one.probability:.2f}")
    return table


def _names(group: tuple[str, ...]) -> str:
    more = f" and {len(group) - LISTED} more" if len(group) > LISTED else ""
    return ", ".join(printable(name) for name in group[:LISTED]) + more


def _percent(share: float | None) -> str:
    return "" if share is None else f"{100 * share:.0f} %"
