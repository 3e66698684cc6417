"""`mobilenet-gateway models list`, `show` and `pull`."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from app.card.card import CARD_KEY, Origin, parse_card
from models.export.export import export, read_metadata, untrained
from models.zoo.zoo import zoo
from tests.app.cli_runner import refused, run
from tests.app.heads.made import write_head
from tests.conftest import SMALL_V1, SMALL_V2
from tests.models.cli_runner import DEFAULT, FLOAT_V1, Capture, data, small_graph

pytestmark = pytest.mark.usefixtures("empty_folder")


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
        "No model name contains v1 and resnet. `mobilenet-gateway models list` lists all models."
    )


def test_the_list_says_which_models_are_pinned(capsys: Capture) -> None:
    pinned = {row["name"]: row["pinned"] for row in data(capsys, "list")}
    assert pinned[DEFAULT]
    assert not pinned["mobilenet_v2_0.35_96_keras"]
    assert "unpinned" in run(capsys, "models", "list", "keras").out


def test_the_list_marks_what_is_in_the_store(capsys: Capture, store: Path) -> None:
    rows = data(capsys, "list", "--store", str(store))
    assert [row["name"] for row in rows if row["in_store"] and row["in_zoo"]] == [FLOAT_V1]
    table = run(capsys, "models", "list", "--store", str(store))
    [line] = [line for line in table.out.splitlines() if line.startswith(f"{FLOAT_V1} ")]
    assert line.rstrip().endswith("yes")


def test_the_list_has_the_stores_own_models_too(capsys: Capture, tmp_path: Path) -> None:
    recipe = zoo()[FLOAT_V1].recipe
    origin = Origin(kind="imported", source="flowers.pth", files=(), licence=None)
    own = replace(recipe, origin=origin, labels=("rose", "tulip"), background=False, variant="own")
    name = export(own, untrained(own.network()), "fp32", tmp_path).stem
    small_graph(tmp_path / "foreign.onnx")
    outcome = run(capsys, "models", "list", "own", "--json", "--store", str(tmp_path))
    [row] = json.loads(outcome.out)
    shown = ("name", "family", "alpha", "resolution", "precision", "classes", "in_zoo", "in_store")
    assert [row[key] for key in shown] == [
        name, "mobilenet_v1", 0.25, 128, "fp32", 2, False, True,
    ]  # fmt: skip
    table = run(capsys, "models", "list", "--store", str(tmp_path))
    assert table.err == (
        f"{tmp_path / 'foreign.onnx'} has no model card. Import it: "
        f"`mobilenet-gateway models import {tmp_path / 'foreign.onnx'}`.\n"
    )
    [line] = [line for line in table.out.splitlines() if line.startswith(name)]
    assert line.split()[1:6] == ["mobilenet_v1", "0.25", "128", "float", "2"]
    assert set(row) == set(data(capsys, "list", DEFAULT)[0])


def test_the_list_has_the_heads_of_the_store(capsys: Capture, store: Path, tmp_path: Path) -> None:
    base = tmp_path / f"{SMALL_V2}.onnx"
    base.write_bytes((store / base.name).read_bytes())
    write_head(base, "gate")
    (tmp_path / "broken.head.npz").write_bytes(b"no head")
    listed = run(capsys, "models", "list", "gate", "--json", "--store", str(tmp_path))
    [row] = json.loads(listed.out)
    assert [row[key] for key in ("name", "family", "resolution", "classes", "in_store")] == [
        "gate", "mobilenet_v2", 96, 3, True,
    ]  # fmt: skip
    assert (
        "broken.head.npz: not a head" in run(capsys, "models", "list", "--store", str(tmp_path)).err
    )


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


def test_a_file_without_a_card_has_none_to_show(capsys: Capture, tmp_path: Path) -> None:
    path = small_graph(tmp_path / "foreign.onnx")
    assert refused(capsys, "models", "show", str(path)) == f"{path} has no model card."


def test_a_model_is_pulled_from_a_local_folder_once(
    capsys: Capture, published_weights: Path, tmp_path: Path
) -> None:
    command = ("models", "pull", FLOAT_V1, "--offline", "--weights", str(published_weights))
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
    capsys: Capture, published_weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GATEWAY_WEIGHTS", str(published_weights))
    new = tmp_path / "new" / "store"
    outcome = run(capsys, "models", "pull", FLOAT_V1, "--offline", "--store", str(new))
    assert outcome.status == 0, outcome.err
    assert (new / f"{FLOAT_V1}.onnx").is_file()


def test_what_cannot_be_pulled_does_not_keep_the_others_from_it(
    capsys: Capture, published_weights: Path, tmp_path: Path
) -> None:
    weights = tmp_path / "some"
    weights.mkdir()
    name = "mobilenet_v1_0.25_128.tflite"
    (weights / name).symlink_to(published_weights / name)
    outcome = run(capsys, "models", "pull", "--all", "--offline", "--weights", str(weights))
    assert outcome.status == 1
    assert "error: Some models could not be pulled:" in outcome.err
    assert f"{DEFAULT}: mobilenet_v2-b0353104.pth could not be fetched" in outcome.err
    stored = sorted(path.stem for path in (tmp_path / "models" / "store").iterdir())
    assert stored == [FLOAT_V1, f"{FLOAT_V1}_ptq"]


def test_a_pull_without_network_says_how_to_give_the_file(capsys: Capture) -> None:
    text = refused(capsys, "models", "pull", "--offline")
    assert text.startswith("mobilenet_v2-b0353104.pth could not be fetched:")
    assert "--weights or GATEWAY_WEIGHTS" in text


def test_a_local_file_with_other_bytes_is_rejected(capsys: Capture, tmp_path: Path) -> None:
    (tmp_path / "mobilenet_v2-b0353104.pth").write_bytes(b"something else")
    text = refused(capsys, "models", "pull", "--offline", "--weights", str(tmp_path))
    assert "mobilenet_v2-b0353104.pth has SHA-256 " in text
    assert list((tmp_path / "models" / "store").iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        pytest.param(("mobilenet_v3",), "Unknown model 'mobilenet_v3' in the zoo", id="unknown"),
        pytest.param((DEFAULT, "mobilenet_v3"), "Unknown model 'mobile", id="second-unknown"),
        pytest.param(("--all", DEFAULT), "Give either names or --all, not both", id="all-and-one"),
        pytest.param(("--weights", "gone"), "--weights: not a folder: gone", id="no-folder"),
    ],
)
def test_a_pull_that_cannot_be_is_rejected_with_its_reason(
    capsys: Capture, arguments: tuple[str, ...], reason: str
) -> None:
    assert reason in refused(capsys, "models", "pull", "--offline", *arguments)


def test_weights_of_another_model_are_rejected_and_the_rest_of_the_zoo_is_not(
    capsys: Capture, published_weights: Path, tmp_path: Path
) -> None:
    weights = tmp_path / "ge wichte [ü]"
    weights.mkdir()
    wrong, login_page = "mobilenet_v1_0.5_160", "mobilenet_v1_0.25_160"
    narrow = published_weights / f"{FLOAT_V1}.tflite"
    (weights / f"{wrong}.tflite").symlink_to(narrow)
    (weights / f"{FLOAT_V1}.tflite").symlink_to(narrow)
    (weights / f"{login_page}.tflite").write_text("<html>")
    command = ("models", "pull", "--offline", "--weights", str(weights))
    for name, reason in ((wrong, "Conv2d_0: the kernel is"), (login_page, "not a TFLite file")):
        text = refused(capsys, *command, name)
        assert text.startswith(f"{weights / name}.tflite cannot be made into {name}: ")
        assert text.endswith("or remove it and pull again")
        assert reason in text
    outcome = run(capsys, *command, "--all")
    assert f"{FLOAT_V1}: models/store/{FLOAT_V1}.onnx (1.9 MB)" in outcome.err
    for name in (wrong, login_page):
        assert f"{name}: {weights / name}.tflite cannot be made" in outcome.err


def test_a_path_is_printed_unchanged(capsys: Capture, published_weights: Path) -> None:
    store = "st [bold] ö re"
    command = ("models", "pull", FLOAT_V1, "--offline", "--weights", str(published_weights))
    for said in (f"{store}/{FLOAT_V1}.onnx (1.9 MB)", f"already in {store}"):
        assert run(capsys, *command, "--store", store).err == f"{FLOAT_V1}: {said}\n"
