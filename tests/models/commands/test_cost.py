"""`mobilenet-gateway models cost`."""

from dataclasses import replace
from pathlib import Path

import onnx
import pytest
from onnx import helper

from app.card.card import Origin
from models.export.export import export, untrained
from models.zoo.zoo import zoo
from tests.app.cli_runner import refused, run
from tests.conftest import SMALL_V1, SMALL_V2
from tests.models.cli_runner import DEFAULT, Capture, data, small_graph
from tests.models.graph_builder import GraphBuilder
from tests.models.importing.finetuned import CLASSES, FILES, TORCH, unpack
from tests.models.importing.inputs import SIDE
from tests.models.importing.test_dialogue import calibrated_on_noise
from tests.models.translation.tflite.operator_files import encode

pytestmark = pytest.mark.usefixtures("empty_folder")


def test_the_cost_of_the_default_network_is_the_published_one(capsys: Capture) -> None:
    cost = data(capsys, "cost")
    assert cost == {
        "model": DEFAULT,
        "params": 3_504_872,
        "stored_params": 3_487_816,
        "madds": 300_774_272,
        "classifier_madds": 1_280_000,
        "peak_activation_bytes": 6_021_120,
        "standard_params": 11_131_976,
        "standard_madds": 1_224_972_288,
    }
    table = run(capsys, "models", "cost").out
    assert "3,504,872" in table
    assert "4.07 x" in table


def test_a_model_costs_the_same_by_definition_from_the_zoo_and_in_a_file(
    capsys: Capture, real_store: Path
) -> None:
    defined = data(capsys, "cost")
    assert data(capsys, "cost", DEFAULT) == defined
    assert data(capsys, "cost", DEFAULT, "--store", str(real_store)) == defined
    assert data(capsys, "cost", str(real_store / f"{DEFAULT}.onnx")) == defined


@pytest.mark.parametrize("name", [SMALL_V1, SMALL_V2])
def test_another_resolution_changes_the_work_and_not_the_parameters(
    capsys: Capture, store: Path, name: str
) -> None:
    own = data(capsys, "cost", name, "--store", str(store))
    other = data(capsys, "cost", name, "--store", str(store), "--resolution", "256")
    assert other["model"] == f"{name} at 256"
    assert other["params"] == own["params"]
    assert other["madds"] > own["madds"]


@pytest.mark.parametrize("name", ["mobilenet_v2_1.1_224_timm_d", "mobilenet_v1_1.0_224_timm_h"])
def test_another_resolution_keeps_what_a_publisher_changed_of_the_network(
    capsys: Capture, tmp_path: Path, name: str
) -> None:
    own = data(capsys, "cost", name, "--store", str(tmp_path))
    other = data(capsys, "cost", name, "--store", str(tmp_path), "--resolution", "160")
    assert other["params"] == own["params"]
    assert other["madds"] < own["madds"]


def test_the_layers_of_a_cost_sum_to_it(capsys: Capture) -> None:
    arguments = ("--family", "mobilenet_v1", "--alpha", "0.5", "--resolution", "160")
    cost = data(capsys, "cost", *arguments, "--layers")
    assert cost["model"] == "mobilenet_v1_0.5_160"
    assert sum(layer["madds"] for layer in cost["layers"]) == cost["madds"]
    table = run(capsys, "models", "cost", *arguments, "--layers").out
    assert len(table.splitlines()) > len(cost["layers"])


def test_expansion_classes_and_precision_change_the_cost(capsys: Capture) -> None:
    plain = data(capsys, "cost")
    assert data(capsys, "cost", "--expansion", "3")["madds"] < plain["madds"]
    assert data(capsys, "cost", "--classes", "10")["classifier_madds"] == 12_800
    whole = data(capsys, "cost", "--precision", "int8")
    assert whole["peak_activation_bytes"] * 4 == plain["peak_activation_bytes"]


def test_a_model_of_others_costs_what_its_graph_says(capsys: Capture, tmp_path: Path) -> None:
    path = small_graph(tmp_path / "foreign.onnx")
    cost = data(capsys, "cost", str(path))
    assert cost["model"] == "foreign at its own size"
    assert (cost["params"], cost["madds"]) == (216, 216 * 32 * 32)


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        pytest.param(("--family", "resnet"), "Unknown family 'resnet'. Supported:", id="family"),
        pytest.param(("--alpha", "0"), "Alpha is 0; it must be greater than 0", id="alpha-0"),
        pytest.param(("--alpha", "nan"), "Alpha is nan", id="alpha-nan"),
        pytest.param(("--alpha", "inf"), "Alpha is inf", id="alpha-inf"),
        pytest.param(("--alpha", "1e308"), "cannot convert float infinity", id="alpha-giant"),
        pytest.param(("--resolution", "0"), "Resolution is 0; it must be", id="resolution-0"),
        pytest.param(("--resolution", "100"), "a multiple of 32 from 96 to 512", id="odd"),
        pytest.param(
            (DEFAULT, "--resolution", "100"), "96 to 512 in steps of 32", id="odd-of-a-model"
        ),
        pytest.param(("--precision", "fp16"), "Unknown precision 'fp16'", id="precision"),
        pytest.param(
            ("--family", "mobilenet_v1", "--expansion", "4"),
            "--expansion applies to mobilenet_v2 only",
            id="expansion",
        ),
        pytest.param((DEFAULT, "--alpha", "0.5"), f"--alpha is fixed by {DEFAULT}", id="both"),
        pytest.param((DEFAULT, "--classes", "1000"), "--classes is fixed by", id="both-by-default"),
    ],
)
def test_a_cost_that_cannot_be_is_rejected_with_its_reason(
    capsys: Capture, arguments: tuple[str, ...], reason: str
) -> None:
    text = refused(capsys, "models", "cost", *arguments)
    assert reason in text
    assert "\n" not in text


@pytest.mark.parametrize("name", FILES)
def test_a_file_of_any_format_costs_what_its_network_does(
    capsys: Capture, tmp_path: Path, name: str
) -> None:
    """Without labels and scaling, which cost nothing."""
    path = unpack(name, tmp_path)
    size = ("--resolution", str(SIDE)) if name == TORCH else ()
    cost = data(capsys, "cost", str(path), *size)
    network = ("--alpha", "0.05", "--resolution", str(SIDE), "--classes", str(CLASSES))
    defined = data(capsys, "cost", *network)
    assert {**cost, "model": ""} == {**defined, "model": ""}
    assert cost["model"] == f"{name} at {SIDE}"


def test_weights_alone_cost_at_the_usual_resolution(capsys: Capture, tmp_path: Path) -> None:
    assert data(capsys, "cost", str(unpack(TORCH, tmp_path)))["model"] == f"{TORCH} at 224"


def test_a_quantised_input_of_any_scale_costs_the_same(
    capsys: Capture, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usual = tmp_path / "usual.tflite"
    usual.write_bytes(encode("softmax", "int8"))
    noise = calibrated_on_noise(tmp_path, monkeypatch)
    costs = [data(capsys, "cost", str(path))["madds"] for path in (usual, noise)]
    assert costs[0] == costs[1] > 0


def test_a_file_of_no_model_has_no_cost(capsys: Capture, tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("no model")
    assert "notes.txt" in refused(capsys, "models", "cost", str(path))


@pytest.mark.parametrize("resolution", ["3", "64"])
def test_a_size_that_a_file_does_not_take_is_rejected(
    capsys: Capture, tmp_path: Path, resolution: str
) -> None:
    path = small_graph(tmp_path / "foreign.onnx")
    text = refused(capsys, "models", "cost", str(path), "--resolution", resolution)
    assert text == f"The input is fixed at [3, 32, 32]; resolution {resolution} is not possible."


def test_a_file_without_weights_costs_nothing(capsys: Capture, tmp_path: Path) -> None:
    path = small_graph(tmp_path / "foreign.onnx")
    model = onnx.load(path)
    model.graph.node[0].CopyFrom(helper.make_node("Relu", ["x"], ["y"]))
    del model.graph.initializer[:]
    model.graph.output[0].type.tensor_type.shape.dim[1].dim_value = 3
    onnx.save(model, path)
    assert data(capsys, "cost", str(path))["madds"] == 0
    outcome = run(capsys, "models", "cost", str(path))
    assert (outcome.status, outcome.err) == (0, "")


def test_a_quantised_model_keeps_what_a_publisher_changed_of_the_network(
    capsys: Capture, tmp_path: Path
) -> None:
    source = "mobilenet_v2_1.1_224_timm_d"
    own = zoo()[source].recipe
    recipe = replace(own, variant="ptq", resolution=96)
    path = export(recipe, untrained(recipe.network()), "fp32", tmp_path)
    other = data(capsys, "cost", str(path), "--resolution", "224", "--layers")
    assert {**other, "model": source} == data(capsys, "cost", source, "--layers")


def test_weights_of_a_users_own_cost_what_their_card_says(capsys: Capture, tmp_path: Path) -> None:
    origin = Origin(kind="imported", source="flowers.pth", files=(), licence=None)
    recipe = replace(zoo()[DEFAULT].recipe, alpha=0.35, origin=origin)
    path = export(recipe, untrained(recipe.network()), "fp32", tmp_path)
    own, smaller = (data(capsys, "cost", str(path), "--resolution", side) for side in ("224", "96"))
    defined = data(capsys, "cost", "--alpha", "0.35", "--resolution", "96")
    assert own["params"] == smaller["params"]
    assert {**smaller, "model": ""} == {**defined, "model": ""}


def test_maps_that_do_not_halve_evenly_are_counted_in_the_graph(
    capsys: Capture, tmp_path: Path
) -> None:
    builder = GraphBuilder(["N", 3, "H", "W"])
    kernel = builder.const("kernel", 8, 3, 3, 3)
    builder.node("Conv", ["x", kernel], "conv", strides=[2, 2])  # no padding
    builder.node("GlobalAveragePool", ["conv"], "pooled")
    builder.node("Flatten", ["pooled"], "flat")
    builder.node("MatMul", ["flat", builder.const("matrix", 8, 10)], "out")
    (tmp_path / "labels.txt").write_text("\n".join("abcdefghij"))
    onnx.save(builder.model("out"), tmp_path / "odd.onnx")
    adopted = run(
        capsys, "models", "import", "odd.onnx", "--like", "keras", "--labels", "labels.txt",
        "--resolution", "96",
    )  # fmt: skip
    assert adopted.status == 0, adopted.err
    cost = data(capsys, "cost", "odd", "--resolution", "160")
    assert cost["model"] == "odd at 160"
    assert cost["madds"] == 8 * 3 * 3 * 3 * 79 * 79 + 80
