"""Tables that `classify` writes with a real service and real files."""

import csv
import json
import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from mobilenet_gateway_client import Client
from PIL import Image

from tests.app.cli_runner import finished, run
from tests.app.sample_images import encode, noise
from tests.client.command import FILES, all_names, alone, classified, names
from tests.conftest import SMALL_V1, SMALL_V2
from tests.processes import Service, running


@pytest.fixture(scope="module")
def service(store: Path) -> Iterator[Service]:
    with running(store, default_model=SMALL_V1, measure_s=0) as service:
        yield service


@pytest.mark.parametrize(
    "ending", ["csv", "jsonl", pytest.param("parquet", marks=pytest.mark.unmeasured)]
)
def test_a_folder_becomes_a_table_and_is_not_sent_again(
    service: Service, folder: Path, tmp_path: Path, ending: str
) -> None:
    if ending == "parquet":
        pytest.importorskip("pyarrow", reason="needs pyarrow, of the development requirements")
    output = tmp_path / f"rows.{ending}"
    arguments = ("classify", folder, "--url", service.base_url, "--output", output, "--json")
    before = classified(service)
    began = time.monotonic()
    first = finished(*map(str, arguments))
    lasted_s = time.monotonic() - began
    assert first.status == 1, first.err  # because of the bad file
    summary = json.loads(first.out)
    assert 0 < summary["took_s"] <= lasted_s
    assert summary["images_per_s"] == pytest.approx(FILES / summary["took_s"], rel=0.02)
    assert (summary["files"], summary["classified"], summary["failed"]) == (FILES, FILES - 1, 1)
    assert (summary["passed_over"], summary["stopped"]) == (1, False)
    assert classified(service) - before == FILES
    again = finished(*map(str, arguments))
    assert again.status == 1  # as long as the row of the bad file is an error
    summary = json.loads(again.out)
    assert (summary["done_before"], summary["failed"], summary["failed_before"]) == (FILES, 0, 1)
    assert summary["failed_files"].keys() == {"bad.JPG"}
    assert classified(service) - before == FILES
    if ending == "csv":
        assert sorted(names(output)) == all_names(folder)
    elif ending == "jsonl":
        rows = [json.loads(line) for line in output.read_text().splitlines()]
        [bad] = [row for row in rows if "error" in row]
        assert (bad["file"], bad["error"]["type"]) == ("bad.JPG", "not-an-image")
    else:
        from pyarrow import parquet

        table = parquet.read_table(output)
        assert sorted(table.column("file").to_pylist()) == all_names(folder)
        assert table.column("error").null_count == FILES - 1


@pytest.mark.parametrize("ending", ["csv", "jsonl", "parquet"])
def test_failed_files_are_named_and_classified_again_on_request(
    service: Service, tmp_path: Path, ending: str, capsys: pytest.CaptureFixture[str]
) -> None:
    if ending == "parquet":
        pytest.importorskip("pyarrow", reason="needs pyarrow, of the development requirements")
    photos, output = tmp_path / "photos", tmp_path / f"rows.{ending}"
    photos.mkdir()
    image = encode(noise(64, 48))
    for name in ("a.jpg", "b.jpg", "c.jpg"):
        (photos / name).write_bytes(b"no image" if name == "b.jpg" else image)
    (photos / "gone\x1b.jpg").symlink_to("nowhere")
    arguments = ("classify", str(photos), "--url", service.base_url, "--output", str(output))
    first = run(capsys, *arguments)
    assert (first.status, first.err) == (1, "")
    assert "4 images: 2 classified, 2 failed" in first.out
    named = [line for line in first.out.splitlines() if line.startswith("failed: ")]
    assert sorted(line.split(": ")[1] for line in named) == ["b.jpg", "gone\\x1b.jpg"]
    (photos / "b.jpg").write_bytes(image)
    before = classified(service)
    again = run(capsys, *arguments)
    assert (again.status, classified(service)) == (1, before)
    assert "4 done before (2 of them failed)" in again.out
    assert "failed: b.jpg: Unrecognized image format." in again.out
    (photos / "gone\x1b.jpg").unlink()
    retried = run(capsys, *arguments, "--retry-failed")
    assert (retried.status, retried.err) == (0, "")
    assert "3 images: 1 classified, 2 done before;" in retried.out
    assert classified(service) == before + 1
    if ending == "csv":
        assert sorted(names(output)) == ["a.jpg", "b.jpg", "c.jpg"]


def test_explanations_become_images_in_a_folder(
    service: Service, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    photos, maps = tmp_path / "photos", tmp_path / "maps"
    (photos / "below").mkdir(parents=True)
    for name in ("a.jpg", "below/b.jpg"):
        (photos / name).write_bytes(encode(noise(64, 48)))
    outcome = run(capsys, 
        "classify", str(photos), "--url", service.base_url, "--recursive",
        "--output", str(tmp_path / "rows.csv"), "--explain", str(maps),
    )  # fmt: skip
    assert (outcome.status, outcome.err) == (0, "")
    made = sorted(path for path in maps.rglob("*") if path.is_file())
    assert made == [maps / "a.jpg.png", maps / "below" / "b.jpg.png"]
    for path in made:
        with Image.open(path) as overlay:
            assert (overlay.format, overlay.size) == ("PNG", (128, 128))


@pytest.mark.parametrize("ending", ["csv", "jsonl"])
def test_what_a_damaged_file_lacks_is_in_its_row(
    service: Service, tmp_path: Path, ending: str, capsys: pytest.CaptureFixture[str]
) -> None:
    photos, output = tmp_path / "photos", tmp_path / f"rows.{ending}"
    photos.mkdir()
    whole = encode(noise(300, 200), "JPEG")
    (photos / "cut.jpg").write_bytes(whole[: int(len(whole) * 0.95)] + b"\xff\xd9")
    (photos / "whole.jpg").write_bytes(whole)
    command = ("classify", str(photos), "--url", service.base_url, "--output", str(output))
    assert run(capsys, *command).status == 0
    with output.open(newline="") as file:
        rows = csv.DictReader(file) if ending == "csv" else map(json.loads, file)
        warnings = {row["file"]: row.get("warnings") or "" for row in rows}
    assert "ends before its last pixel" in str(warnings["cut.jpg"])
    assert not warnings["whole.jpg"]


def test_a_table_that_was_changed_in_between_is_rejected_and_kept(
    service: Service, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "rows.csv"
    arguments = ("classify", str(folder / "below"), "--url", service.base_url)
    assert run(capsys, *arguments, "--output", str(output)).status == 0
    with_column = output.read_bytes().replace(b"\n", b",checked\n")
    output.write_bytes(with_column)
    before = classified(service)
    outcome = run(capsys, *arguments, "--output", str(output))
    assert outcome.status == 1
    assert "rows.csv was changed: its columns are not file, error" in outcome.err
    assert outcome.err.count("\n") == 1
    assert output.read_bytes() == with_column
    assert classified(service) == before


def test_a_parquet_of_other_columns_or_of_no_run_is_not_replaced(
    service: Service, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    parquet = pytest.importorskip("pyarrow.parquet", reason="needs pyarrow")
    output = tmp_path / "rows.parquet"
    arguments = (
        "classify", str(folder / "below"), "--url", service.base_url, "--output", str(output)
    )  # fmt: skip
    assert run(capsys, *arguments).status == 0
    table = parquet.read_table(output)
    assert run(capsys, *arguments).status == 0  # one of its own is
    parquet.write_table(table.append_column("checked", [["yes"] * len(table)]), output)
    changed = output.read_bytes()
    assert "rows.parquet exists and does not match this run" in run(capsys, *arguments).err
    assert output.read_bytes() == changed
    for unknown in (changed, b"no table"):
        elsewhere = tmp_path / "other.parquet"
        elsewhere.write_bytes(unknown)
        outcome = run(capsys, *arguments[:-1], str(elsewhere))
        assert "other.parquet exists and does not match this run" in outcome.err
        assert elsewhere.read_bytes() == unknown
    parquet.write_table(table, elsewhere)  # of these columns, but not of this run
    assert run(capsys, *arguments[:-1], str(elsewhere)).status == 1
    assert parquet.read_table(elsewhere) == table


def test_a_parquet_of_an_empty_folder_may_grow_and_names_need_not_be_utf8(
    service: Service, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    parquet = pytest.importorskip("pyarrow.parquet", reason="needs pyarrow")
    photos, output = tmp_path / "photos", tmp_path / "rows.parquet"
    photos.mkdir()
    arguments = ("classify", str(photos), "--url", service.base_url, "--output", str(output))
    assert run(capsys, *arguments).status == 0
    assert len(parquet.read_table(output)) == 0
    os.link(folder / "below" / "source.jpg", photos / "good\udcff.jpg")  # the byte FF
    (photos / "gone\udcff.jpg").symlink_to("nowhere")
    assert "1 classified, 1 failed" in run(capsys, *arguments).out
    gone, good = sorted(parquet.read_table(output).to_pylist(), key=lambda row: str(row["file"]))
    assert (good["file"], gone["file"]) == ("good\\xff.jpg", "gone\\xff.jpg")
    assert gone["error_detail"].endswith("gone\\xff.jpg: No such file or directory")


def test_a_folder_becomes_a_table_of_embeddings_and_continues(
    service: Service, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    parquet = pytest.importorskip("pyarrow.parquet", reason="needs pyarrow")
    photos, output = tmp_path / "photos", tmp_path / "found.parquet"
    photos.mkdir()
    os.link(folder / "below" / "source.jpg", photos / "a.jpg")
    (photos / "bad.jpg").write_bytes(b"no image")
    arguments = ("classify", str(photos), "--url", service.base_url, "--model", SMALL_V2)
    first = run(capsys, *arguments, "--embeddings", str(output))
    assert (first.status, "1 classified, 1 failed" in first.out) == (1, True), first.err
    os.link(folder / "below" / "source.jpg", photos / "b.jpg")
    again = run(capsys, *arguments, "--embeddings", str(output))
    assert "1 classified, 2 done before" in again.out, again.err
    table = parquet.read_table(output)
    assert table.schema.names == [
        "file", "error", "error_detail", "model", "resolution", "embedding"
    ]  # fmt: skip
    assert str(table.schema.field("embedding").type) == "list<element: float>"
    rows = {row["file"]: row for row in table.to_pylist()}
    with Client(service.base_url) as client:
        expected = client.embed(photos / "a.jpg", model=SMALL_V2)
    for name in ("a.jpg", "b.jpg"):
        assert (rows[name]["model"], rows[name]["resolution"]) == (SMALL_V2, 96)
        assert rows[name]["embedding"] == pytest.approx(expected.tolist(), abs=1e-5)
    assert (rows["bad.jpg"]["error"], rows["bad.jpg"]["embedding"]) == ("not-an-image", None)
    other = run(capsys, *arguments, "--output", str(output))
    assert "found.parquet exists and does not match this run" in other.err


def test_subfolders_are_included_on_request(
    service: Service, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "rows.jsonl"
    base = ("classify", str(folder), "--url", service.base_url, "--output", str(output))
    run(capsys, *base, "--top-k", "1")
    files = {json.loads(line)["file"] for line in output.read_text().splitlines()}
    assert "below/source.jpg" not in files
    taken_up = run(capsys, *base, "--recursive", "--top-k", "1")
    assert f"1 classified, {FILES} done before" in taken_up.out
    files = {json.loads(line)["file"] for line in output.read_text().splitlines()}
    assert "below/source.jpg" in files
    rejected = run(capsys, *base, "--top-k", "1")
    assert "recursive was True and is now False" in rejected.err


@pytest.mark.unmeasured
def test_the_client_alone_has_the_same_command(
    service: Service, folder: Path, tmp_path: Path
) -> None:
    for arguments in (["--help"], [], [str(folder)], ["--top-k", "0", str(folder)]):
        theirs = alone("classify", *arguments, without="typer")
        ours = finished("classify", *arguments)
        assert theirs.status == ours.status
        for text, same in ((theirs.out, ours.out), (theirs.err, ours.err)):
            assert text.replace("-client", "").split() == same.split()
    output = tmp_path / "rows.csv"
    done = alone(
        "classify", folder / "below", "--url", service.base_url, "--output", output, without="rich"
    )
    assert (done.status, done.err) == (0, "")
    assert names(output) == ["source.jpg"]
