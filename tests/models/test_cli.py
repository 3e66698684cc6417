"""`mobilenet-gateway models ...`: costs, cards, exports and pulls from the command line."""

import json
from pathlib import Path
from typing import Any

import onnx
import pytest
from onnx import TensorProto, helper

from app.card import CARD_KEY, parse_card
from models.export import read_metadata
from models.zoo import zoo
from tests.app.commands import refused, run
from tests.conftest import SMALL_V1, SMALL_V2

Capture = pytest.CaptureFixture[str]
DEFAULT = "mobilenet_v2_1.0_224"
FLOAT_V1 = "mobilenet_v1_0.25_128"


@pytest.fixture(autouse=True)
def empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test reads or writes the project's own store."""
    monkeypatch.chdir(tmp_path)


def data(capsys: Capture, *arguments: str) -> Any:
    outcome = run(capsys, "models", *arguments, "--json")
    assert outcome.status == 0, outcome.err
    return json.loads(outcome.out)


def small_graph(path: Path) -> Path:
    """A classifier of somebody else: one convolution of 3 x 3 at a fixed size, no card."""
    weights = helper.make_tensor("w", TensorProto.FLOAT, [8, 3, 3, 3], [0.0] * 216)
    node = helper.make_node("Conv", ["x", "w"], ["y"], pads=[1, 1, 1, 1])
    inputs = [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3, 32, 32])]
    outputs = [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 8, 32, 32])]
    graph = helper.make_graph([node], "g", inputs, outputs, [weights])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    onnx.save(model, path)
    return path


# --- list and show -----------------------------------------------------------------------------


def test_the_list_has_every_model_of_the_zoo(capsys: Capture) -> None:
    rows = data(capsys, "list")
    assert [row["name"] for row in rows] == list(zoo())
    default = rows[0]
    assert default["name"] == DEFAULT
    assert (default["params"], default["madds"]) == (3_504_872, 300_774_272)
    assert not any(row["in_store"] for row in rows)


def test_the_list_can_be_narrowed_by_words(capsys: Capture) -> None:
    names = [row["name"] for row in data(capsys, "list", "keras", "v2_0.35")]
    assert names == [f"mobilenet_v2_0.35_{side}_keras" for side in (224, 192, 160, 128, 96)]
    assert refused(capsys, "models", "list", "v1", "resnet") == (
        "no model has v1 and resnet in its name"
    )


def test_the_list_says_which_models_are_pinned(capsys: Capture) -> None:
    pinned = {row["name"]: row["pinned"] for row in data(capsys, "list")}
    assert pinned[DEFAULT]
    assert not pinned["mobilenet_v2_0.35_96_keras"]
    assert "unpinned" in run(capsys, "models", "list", "keras").out


def test_the_list_marks_what_is_in_the_store(capsys: Capture, store: Path) -> None:
    rows = data(capsys, "list", "--store", str(store))
    assert [row["name"] for row in rows if row["in_store"]] == [FLOAT_V1]
    table = run(capsys, "models", "list", "--store", str(store))
    [line] = [line for line in table.out.splitlines() if line.startswith(f"{FLOAT_V1} ")]
    assert line.rstrip().endswith("yes")


def test_a_card_is_shown_without_labels_and_layers(capsys: Capture, store: Path) -> None:
    shown = data(capsys, "show", SMALL_V2, "--store", str(store))
    card = parse_card(read_metadata(store / f"{SMALL_V2}.onnx")[CARD_KEY])
    assert shown == card.model_dump(mode="json", exclude={"labels": True, "cost": {"layers"}})
    table = run(capsys, "models", "show", SMALL_V2, "--store", str(store)).out
    assert f"{card.cost.madds:,}" in table
    assert "preprocessing.crop_fraction" in table


def test_a_model_of_the_zoo_is_shown_before_it_is_there(capsys: Capture) -> None:
    shown = data(capsys, "show", DEFAULT)
    assert shown["accuracy"]["top1"] == 71.878
    assert shown["origin"]["licence"] == "BSD-3-Clause"


def test_a_file_is_shown_by_its_path(capsys: Capture, store: Path) -> None:
    assert data(capsys, "show", str(store / f"{SMALL_V1}.onnx"))["name"] == SMALL_V1


@pytest.mark.parametrize("command", ["show", "cost"])
def test_an_unknown_model_is_refused_with_those_that_are_near(
    capsys: Capture, command: str
) -> None:
    text = refused(capsys, "models", command, "mobilenet_v3")
    assert text.startswith("no model 'mobilenet_v3' in the zoo; near to that are:\n  mobilenet_v")
    assert "models list" in text


@pytest.mark.parametrize("command", ["show", "cost"])
def test_a_file_that_is_no_model_is_refused(capsys: Capture, command: str, tmp_path: Path) -> None:
    path = tmp_path / "broken.onnx"
    path.write_bytes(b"junk")
    assert refused(capsys, "models", command, str(path)).startswith(f"{path} is not an ONNX file")
    assert refused(capsys, "models", command, "gone.onnx") == "gone.onnx is not a file"


def test_a_file_without_a_card_has_none_to_show(capsys: Capture, tmp_path: Path) -> None:
    path = small_graph(tmp_path / "foreign.onnx")
    assert refused(capsys, "models", "show", str(path)) == f"{path} has no model card"


# --- cost --------------------------------------------------------------------------------------


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
        pytest.param(("--family", "resnet"), "family is 'resnet'; it has to be", id="family"),
        pytest.param(("--alpha", "0"), "alpha is 0; it has to be above 0", id="alpha-0"),
        pytest.param(("--alpha", "nan"), "alpha is nan", id="alpha-nan"),
        pytest.param(("--alpha", "inf"), "alpha is inf", id="alpha-inf"),
        pytest.param(("--alpha", "1e308"), "cannot convert float infinity", id="alpha-giant"),
        pytest.param(("--resolution", "0"), "resolution is 0; it has to be", id="resolution-0"),
        pytest.param(("--resolution", "100"), "a multiple of 32 from 96 to 512", id="odd"),
        pytest.param((DEFAULT, "--resolution", "100"), "a multiple of 32", id="odd-of-a-model"),
        pytest.param(("--precision", "fp16"), "precision is 'fp16'", id="precision"),
        pytest.param((DEFAULT, "--alpha", "0.5"), f"--alpha is set by {DEFAULT}", id="both"),
        pytest.param((DEFAULT, "--classes", "1000"), "--classes is set by", id="both-by-default"),
    ],
)
def test_a_cost_that_cannot_be_is_refused_with_its_reason(
    capsys: Capture, arguments: tuple[str, ...], reason: str
) -> None:
    text = refused(capsys, "models", "cost", *arguments)
    assert reason in text
    assert "\n" not in text


# --- export ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("family", "alpha", "resolution"),
    [("mobilenet_v1", "0.25", "96"), ("mobilenet_v2", "0.1", "96")],
)
def test_an_export_is_a_file_that_says_untrained(
    capsys: Capture, tmp_path: Path, family: str, alpha: str, resolution: str
) -> None:
    outcome = run(
        capsys, "models", "export", "--family", family, "--alpha", alpha,
        "--resolution", resolution, "--store", "made",
    )  # fmt: skip
    path = tmp_path / "made" / f"{family}_{alpha}_{resolution}_untrained.onnx"
    assert outcome.status == 0
    assert path.name in outcome.err
    assert not parse_card(read_metadata(path)[CARD_KEY]).trained


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        pytest.param(("--family", "resnet"), "family is 'resnet'", id="family"),
        pytest.param(("--alpha", "-1"), "alpha is -1", id="alpha"),
        pytest.param(("--resolution", "100"), "resolution is 100", id="resolution"),
        pytest.param(("--alpha", "0.1", "--store", "file/in"), "Not a directory", id="store"),
    ],
)
def test_an_export_that_cannot_be_is_refused_with_its_reason(
    capsys: Capture, tmp_path: Path, arguments: tuple[str, ...], reason: str
) -> None:
    (tmp_path / "file").touch()
    assert reason in refused(capsys, "models", "export", *arguments)


# --- pull --------------------------------------------------------------------------------------


def test_a_model_is_pulled_from_a_local_folder_once(
    capsys: Capture, shared_weights: Path, tmp_path: Path
) -> None:
    command = ("models", "pull", FLOAT_V1, "--offline", "--weights", str(shared_weights))
    path = tmp_path / "models" / "store" / f"{FLOAT_V1}.onnx"
    first = run(capsys, *command)
    assert first.status == 0, first.err
    assert first.err.startswith(f"{FLOAT_V1}: models/store/{path.name} (1.9 MB)")
    made = path.stat().st_mtime_ns
    assert run(capsys, *command).err == f"{FLOAT_V1}: already in models/store\n"
    assert path.stat().st_mtime_ns == made
    run(capsys, *command, "--force")
    assert path.stat().st_mtime_ns > made
    assert parse_card(read_metadata(path)[CARD_KEY]).trained


def test_the_folder_of_weights_can_stand_in_the_environment(
    capsys: Capture, shared_weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GATEWAY_WEIGHTS", str(shared_weights))
    outcome = run(capsys, "models", "pull", FLOAT_V1, "--offline")
    assert outcome.status == 0, outcome.err


def test_what_cannot_be_pulled_does_not_keep_the_others_from_it(
    capsys: Capture, shared_weights: Path, tmp_path: Path
) -> None:
    weights = tmp_path / "some"
    weights.mkdir()
    name = "mobilenet_v1_0.25_128.tflite"
    (weights / name).symlink_to(shared_weights / name)
    outcome = run(capsys, "models", "pull", "--all", "--offline", "--weights", str(weights))
    assert outcome.status == 1
    assert "error: not all could be pulled:" in outcome.err
    assert f"{DEFAULT}: mobilenet_v2-b0353104.pth could not be had" in outcome.err
    assert [path.name for path in (tmp_path / "models" / "store").iterdir()] == [f"{FLOAT_V1}.onnx"]


def test_a_pull_without_network_says_how_to_give_the_file(capsys: Capture) -> None:
    text = refused(capsys, "models", "pull", "--offline")
    assert text.startswith("mobilenet_v2-b0353104.pth could not be had:")
    assert "--weights or GATEWAY_WEIGHTS" in text


def test_a_local_file_with_other_bytes_is_refused(capsys: Capture, tmp_path: Path) -> None:
    (tmp_path / "mobilenet_v2-b0353104.pth").write_bytes(b"something else")
    text = refused(capsys, "models", "pull", "--offline", "--weights", str(tmp_path))
    assert "mobilenet_v2-b0353104.pth has SHA-256 " in text
    assert not (tmp_path / "models" / "store").exists()


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        pytest.param(("mobilenet_v3",), "no model 'mobilenet_v3' in the zoo", id="unknown"),
        pytest.param(("--all", DEFAULT), "give names or --all, not both", id="all-and-one"),
        pytest.param(("--weights", "gone"), "gone is not a folder of weights", id="no-folder"),
    ],
)
def test_a_pull_that_cannot_be_is_refused_with_its_reason(
    capsys: Capture, arguments: tuple[str, ...], reason: str
) -> None:
    assert reason in refused(capsys, "models", "pull", "--offline", *arguments)
