"""The comparison with the papers as tables: for a terminal and for the documentation."""

from collections.abc import Iterable

from rich.console import Group
from rich.table import Table

from models.commands.tables import megabytes, plain_table
from models.papers.comparison import (
    VGG16_PRINTED_BYTES,
    VGG16_WHY,
    Comparison,
    WidestTensor,
    comparisons,
    vgg16_activation_bytes,
    widest_tensors,
)

NETWORKS = (
    "table", "network", "top-1", "MAdds printed", "computed", "params printed", "computed", "",
)  # fmt: skip
MEMORY = ("size", "V1 printed", "computed", "V2 printed", "computed", "")


def network_row(row: Comparison) -> tuple[str, ...]:
    """Printed and computed figures in millions."""
    return (
        row.table,
        row.name + (f", {row.classes} classes" if row.classes != 1000 else ""),
        f"{row.top1:.1f} %" if row.top1 else "-",
        row.printed_madds_M,
        f"{row.madds_M:.1f}",
        row.printed_params_M or "-",
        f"{row.params_M:.2f}",
        _note(row.why),
    )


def memory_row(row: WidestTensor) -> tuple[str, ...]:
    """Channels and kB, printed and computed."""
    v1_channels, v1_kb, v2_channels, v2_kb = row.printed
    return (
        str(row.size),
        f"{v1_channels} / {v1_kb} kB",
        f"{row.v1_channels} / {row.v1_kb:.1f} kB",
        f"{v2_channels} / {v2_kb} kB",
        f"{row.v2_channels} / {row.v2_kb:.1f} kB",
        _note(row.why),
    )


def vgg16_memory() -> str:
    return (
        f"VGG-16's activations of one image take {megabytes(vgg16_activation_bytes())} in 32-bit "
        "values; the CS231n notes on convolutional networks print "
        f"{megabytes(VGG16_PRINTED_BYTES)}: {VGG16_WHY}."
    )


def notes() -> list[str]:
    """The distinct reasons why figures differ, in order of appearance."""
    reasons = [row.why for row in comparisons()] + [row.why for row in widest_tensors()]
    return list(dict.fromkeys(reason for reason in reasons if reason))


def comparison_tables() -> Group:
    title = "Millions of multiply-adds and of parameters"
    networks = _table(title, NETWORKS, map(network_row, comparisons()), texts=2)
    title = "Widest tensor at each size, 16-bit values (V2 paper, Table 3)"
    memory = _table(title, MEMORY, map(memory_row, widest_tensors()), texts=1)
    reasons = Table(box=None, padding=(0, 2, 0, 0), show_header=False)
    for number, reason in enumerate(notes(), start=1):
        reasons.add_row(f"{number}", reason)
    return Group(networks, "", memory, "", reasons, "", vgg16_memory())


def _table(
    title: str, headings: tuple[str, ...], rows: Iterable[tuple[str, ...]], texts: int
) -> Table:
    """A table with numbers in all columns but the first `texts` and the last."""
    table = plain_table(*headings, rows=rows)
    table.title, table.title_justify = title, "left"
    for column in (*table.columns[:texts], table.columns[-1]):
        column.justify = "left"
    return table


def _note(why: str | None) -> str:
    return "agrees" if why is None else f"note {notes().index(why) + 1}"
