"""Tables for the terminal, and the rows that `--json` prints instead."""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from rich.console import Group
from rich.table import Table
from rich.text import Text

from app.card.card import Cost, ModelCard, PrecisionOrigin

if TYPE_CHECKING:
    from models.recommendation.recommend import Candidate
    from models.zoo.zoo import Entry


# How the weights came to their precision; the names of models do not say it.
PRECISIONS: dict[PrecisionOrigin, str] = {
    "float": "float",
    "float_of_int8": "float of INT8",
    "publisher_int8": "publisher's INT8, exact",
    "publisher_int8_per_channel": "publisher's INT8",
    "post_training_int8": "INT8 made here",
}


def zoo_row(entry: "Entry", *, in_store: bool) -> dict[str, Any]:
    card = entry.recipe.card(entry.precision)
    return model_row(card) | {
        "download_bytes": entry.download_bytes,
        "pinned": entry.pinned,
        "in_zoo": True,
        "in_store": in_store,
    }


def model_row(card: ModelCard) -> dict[str, Any]:
    """A model of the store that the zoo does not have."""
    accuracy = card.accuracy
    return {
        "name": card.name,
        "family": card.family,
        "alpha": card.alpha,
        "resolution": card.resolution,
        "precision": card.precision,
        "precision_origin": card.precision_origin,
        "quantized_from": card.quantization.source if card.quantization else None,
        "classes": len(card.labels),
        "params": card.cost.params,
        "madds": card.cost.madds,
        "peak_activation_bytes": card.cost.peak_activation_bytes,
        "top1": accuracy.top1 if accuracy else None,
        "top5": accuracy.top5 if accuracy else None,
        "accuracy_source": accuracy.source if accuracy else None,
        "download_bytes": None,
        "pinned": None,
        "licence": card.origin.licence,
        "in_zoo": False,
        "in_store": True,
    }


def models_table(rows: list[dict[str, Any]], own: list[dict[str, Any]]) -> Group:
    """Models of the zoo, and below them the other models of the store."""
    tables = [zoo_table(rows)] if rows else []
    return Group(*tables, *([Text()] if rows and own else []), *([own_table(own)] if own else []))


def own_table(rows: list[dict[str, Any]]) -> Table:
    table = plain_table(
        "your model", "family", "alpha", "resolution", "precision", "classes", "params", "MAdds"
    )
    for row in rows:
        table.add_row(
            row["name"],
            row["family"],
            "-" if row["alpha"] is None else f"{row['alpha']:g}",
            str(row["resolution"]),
            PRECISIONS[row["precision_origin"]],
            str(row["classes"]),
            millions(row["params"]),
            millions(row["madds"]),
        )
    return table


def zoo_table(rows: list[dict[str, Any]]) -> Table:
    table = plain_table(
        "model", "precision", "params", "MAdds", "activations", "top-1", "download", "stored"
    )
    for row in rows:
        table.add_row(
            row["name"],
            PRECISIONS[row["precision_origin"]],
            millions(row["params"]),
            millions(row["madds"]),
            megabytes(row["peak_activation_bytes"]),
            f"{row['top1']:.1f} %" if row["top1"] else "-",
            download_size(row["download_bytes"], pinned=row["pinned"]),
            "yes" if row["in_store"] else "",
        )
    return table


def recommendation_row(candidate: "Candidate") -> dict[str, Any]:
    variant = candidate.variant
    assert variant.top1 is not None  # noqa: S101  `candidates` has no others
    return {
        "model": variant.model,
        "resolution": variant.resolution,
        "precision": variant.precision,
        "top1": variant.top1.percent,
        "top1_basis": variant.top1.basis,
        "params": variant.params,
        "madds": variant.madds,
        "inference_ms": round(candidate.inference_ms, 3),
        "latency_ms": round(candidate.latency_ms, 3),
        "service_bytes": round(candidate.service_bytes),
    }


def recommendation_table(rows: list[dict[str, Any]]) -> Group:
    """The recommended model first, then faster and less accurate ones."""
    table = plain_table(
        "model", "resolution", "top-1", "", "MAdds", "inference", "request", "memory"
    )
    for row in rows:
        table.add_row(
            row["model"],
            str(row["resolution"]),
            f"{row['top1']:.1f} %",
            "" if row["top1_basis"] == "published" else "about",
            millions(row["madds"]),
            f"{row['inference_ms']:.1f} ms",
            f"{row['latency_ms']:.1f} ms",
            megabytes(row["service_bytes"]),
        )
    command = f"mobilenet-gateway models pull {rows[0]['model']}"
    return Group(table, f"\nDownload the most accurate one: {command}")


def cost_table(title: str, cost: Cost, *, layers: bool) -> Group:
    """Totals, and optionally one row per layer above them."""
    totals = plain_table(title, "this network", "standard convolutions", "saving")
    for name, actual, standard in (
        ("parameters", cost.params, cost.standard_params),
        ("multiply-adds", cost.madds, cost.standard_madds),
    ):
        saving = f"{standard / actual:.2f} x" if actual else "-"
        totals.add_row(name, f"{actual:,}", f"{standard:,}", saving)
    totals.add_row("stored parameters", f"{cost.stored_params:,}")
    totals.add_row("peak activations", f"{cost.peak_activation_bytes:,} bytes")
    return Group(*([_layer_table(cost)] if layers else []), totals)


def _layer_table(cost: Cost) -> Table:
    table = plain_table(
        "layer", "kind", "input", "output", "kernel", "params", "MAdds", "output bytes"
    )
    for row in cost.layers:
        table.add_row(
            row.name,
            row.kind,
            _shape(row.input_shape),
            _shape(row.output_shape),
            f"{row.kernel[0]}x{row.kernel[1]}/{row.stride}",
            f"{row.weights + row.biases + row.batch_norm_params:,}",
            f"{row.madds:,}",
            f"{row.activation_bytes:,}",
        )
    return table


def card_table(card: dict[str, Any]) -> Table:
    """All fields of a card, nested names joined by dots."""
    return plain_table("field", "value", rows=_flat(card, ""), numbers=False)


def plain_table(*headings: str, rows: Iterable[Sequence[str]] = (), numbers: bool = True) -> Table:
    """A table without borders; numbers never wrap, texts may."""
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="bold")
    for heading in headings:
        number = numbers and heading != headings[0]
        table.add_column(heading, justify="right" if number else "left", no_wrap=numbers)
    for row in rows:
        table.add_row(*row)
    return table


def millions(count: int) -> str:
    return f"{count / 1e6:.2f} M"


def download_size(size_bytes: int | None, *, pinned: bool) -> str:
    """Size of a pinned download; the hash of an unpinned one is recorded at the first pull."""
    if not pinned:
        return "unpinned"
    return "size unknown" if size_bytes is None else megabytes(size_bytes)


def megabytes(size_bytes: int) -> str:
    return f"{size_bytes / 1e6:.1f} MB"


def _shape(shape: tuple[int, int, int]) -> str:
    channels, height, width = shape
    return f"{height}x{width}x{channels}"


def _flat(value: Any, name: str) -> list[tuple[str, str]]:
    if isinstance(value, dict):
        return [
            row
            for key, inner in value.items()
            for row in _flat(inner, f"{name}.{key}" if name else key)
        ]
    if isinstance(value, list):
        return [row for index, inner in enumerate(value) for row in _flat(inner, f"{name}.{index}")]
    if value is None:
        return [(name, "-")]
    return [(name, f"{value:,}" if isinstance(value, int) else str(value))]
