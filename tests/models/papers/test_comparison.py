"""The papers' tables beside ours: every cell agrees, or says why it does not."""

import csv
import io
import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.commands.comparison_tables import notes
from models.network.cost import network_cost
from models.papers.accuracy_plot import draw, is_current, points, points_hash
from models.papers.comparison import (
    VGG16_PRINTED_BYTES,
    Comparison,
    agrees,
    comparisons,
    vgg16_activation_bytes,
    widest_tensors,
)
from models.zoo.zoo import zoo
from tests.app.cli_runner import refused, run
from tests.conftest import ROOT
from tests.models.published import rows

Capture = pytest.CaptureFixture[str]


@pytest.mark.parametrize("row", comparisons(), ids=lambda row: f"{row.table} {row.name}")
def test_a_figure_agrees_or_has_a_reason(row: Comparison) -> None:
    assert row.agrees == (row.why is None)


def found(network: str, table: str) -> Comparison:
    [row] = [row for row in comparisons() if (row.network, row.table) == (network, table)]
    return row


def test_the_reasons_are_true() -> None:
    """What the notes say was counted comes to what is printed."""
    conv = found("Conv MobileNet", "V1 4")
    assert int(conv.madds_M - 1.024) == 4866
    vgg = network_cost_of("VGG-16")
    assert round((vgg[0] - vgg[1]) / 1e6) == 15347
    assert round(vgg[1] / 1e6) == 124
    assert round(2 * found("SqueezeNet 1.0", "V1 9").madds_M, -2) == 1700
    small = network_cost_of("MobileNetV1 0.5 160")
    assert agrees("1.32", small[2] / 1e6)
    assert agrees("3.4", network_cost_of("MobileNetV2 1.0 224")[2] / 1e6)
    # the slide's sum with the 3x3 counted twice
    module = found("Inception module with bottlenecks", "CS231n")
    assert round(module.madds_M + 28 * 28 * 9 * 64 * 192 / 1e6) == 358
    assert round(module.madds_M * 1e6) == 271_351_808


def network_cost_of(name: str) -> tuple[int, int, int]:
    """Multiply-adds, those of linear layers, and weights alone."""
    from models.papers.comparison import _network

    row = next(row for row in comparisons() if row.name == name)
    cost = network_cost(_network(row.network, row.alpha, row.resolution, row.classes))
    return cost.madds, cost.classifier_madds, sum(layer.weights for layer in cost.layers)


def test_what_is_printed_is_what_the_tests_of_the_family_have() -> None:
    printed = {(row.table, row.name): row for row in comparisons()}
    for row in rows("v1_widths_and_resolutions"):
        name = f"MobileNetV1 {row['alpha']} {row['resolution']}"
        if cells := [cell for (_, other), cell in printed.items() if other == name]:
            assert row["madds_M"] in [cell.printed_madds_M for cell in cells]
    for row in rows("v2_peak_activations"):
        [wide] = [wide for wide in widest_tensors() if wide.size == int(row["hw"])]
        cells_3 = tuple(int(row[name]) for name in list(row)[1:])
        assert wide.printed == cells_3


def test_the_widest_tensors_agree_or_have_a_reason() -> None:
    for wide in widest_tensors():
        v1_channels, v1_kb, v2_channels, v2_kb = wide.printed
        pairs = [(v1_kb, wide.v1_kb), (v2_kb, wide.v2_kb)]
        near = all(abs(cell - value) <= max(0.01 * value, 1) for cell, value in pairs)
        same = (v1_channels, v2_channels) == (wide.v1_channels, wide.v2_channels)
        assert (near and same) == (wide.why is None)


def test_vgg16_keeps_the_sum_of_the_lectures_own_rows() -> None:
    """INPUT, then each convolution and pooling, then the three linear layers."""
    side, values = 224, 3 * 224 * 224
    for channels, convolutions in ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3)):
        values += convolutions * channels * side * side
        side //= 2
        values += channels * side * side
    values += 4096 + 4096 + 1000
    assert vgg16_activation_bytes() == 4 * values
    assert round(values / 1e6, 1) == 15.2
    assert VGG16_PRINTED_BYTES == 4 * 24_000_000


@settings(deadline=None)
@given(st.floats(0.01, 99_999), st.integers(0, 3))
def test_a_figure_agrees_with_itself_rounded_or_cut_off_and_with_no_other(
    value: float, decimals: int
) -> None:
    unit = 10.0**-decimals
    assert agrees(f"{value:.{decimals}f}", value)
    assert not agrees(f"{value + 2 * unit:.{decimals}f}", value)
    assert not agrees(f"{max(value - 3 * unit, -1):.{decimals}f}", value)


# --- the command and the plot ------------------------------------------------------------------


def test_the_comparison_is_printed_with_a_note_for_each_difference(capsys: Capture) -> None:
    outcome = run(capsys, "models", "cost", "--compare")
    assert outcome.status == 0
    text = " ".join(outcome.out.split())
    for note in notes():
        assert note in text
    assert "VGG-16's activations of one image take 61.0 MB" in text


def test_the_comparison_comes_as_json_and_csv(capsys: Capture) -> None:
    data = json.loads(run(capsys, "models", "cost", "--compare", "--json").out)
    table = csv.DictReader(io.StringIO(run(capsys, "models", "cost", "--compare", "--csv").out))
    assert [row["network"] for row in table] == [row["network"] for row in data["networks"]]
    [vgg] = [row for row in data["networks"] if row["network"] == "VGG-16"]
    assert vgg["params_M"] == 138.357544
    assert data["vgg16_activation_bytes"]["found"] == vgg16_activation_bytes()


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (["--compare", "--alpha", "0.5"], "--alpha has no effect with --compare. Remove it."),
        (["mobilenet_v2_1.0_224", "--compare"], "model has no effect with --compare"),
        (["--csv"], "--csv and --plot need --compare"),
        (["--compare", "--csv", "--json"], "Use either --csv or --json, not both."),
        (
            ["--compare", "--plot", "plot.doc"],
            "Unsupported plot format: plot.doc. Supported: .png, .svg, .pdf",
        ),
    ],
)
def test_what_does_not_go_with_a_comparison_is_rejected(
    capsys: Capture, options: list[str], reason: str
) -> None:
    assert reason in refused(capsys, "models", "cost", *options)


def test_the_plot_shows_every_float_model_with_a_published_accuracy() -> None:
    shown = {point.name: point for point in points()}
    for name, entry in zoo().items():
        card = entry.recipe.card(entry.precision)
        assert (name in shown) == (entry.precision == "fp32" and card.accuracy is not None)
    assert {"VGG-16", "AlexNet", "GoogLeNet", "Conv MobileNet"} < shown.keys()
    assert shown["VGG-16"].madds_M > 10_000


def test_the_plot_of_the_documentation_is_that_of_the_data() -> None:
    assert is_current(ROOT / "docs" / "accuracy.svg")
    assert points_hash(points()) != points_hash(points()[1:])


def test_a_plot_is_drawn_and_an_outdated_one_is_detected(tmp_path: Path, capsys: Capture) -> None:
    pytest.importorskip("matplotlib", reason="needs matplotlib, of the extra `plot`")
    path = tmp_path / "folder" / "plot.svg"
    assert not is_current(path)
    assert run(capsys, "models", "cost", "--compare", "--plot", str(path)).status == 0
    assert is_current(path)
    assert "VGG-16" in path.read_text()
    path.write_text(path.read_text().replace(points_hash(points()), "0" * 16))
    assert not is_current(path)
    draw(tmp_path / "plot.png")
    assert (tmp_path / "plot.png").read_bytes().startswith(b"\x89PNG")
