"""`classify --local`: the same table without a service."""

import csv
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from mobilenet_gateway_client import ClientError
from mobilenet_gateway_client._command.local import open_local

from app.settings import Settings
from tests.app.cli_runner import run
from tests.app.sample_images import encode, noise
from tests.client.command import await_rows, command
from tests.conftest import ROOT, SMALL_V1, SMALL_V2
from tests.processes import LIVELINESS_S
from tests.serving import served

FILES = 120
ATTEMPTS = 10


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("photos")
    source = made / "000.jpg"
    source.write_bytes(encode(noise(320, 240)))
    for number in range(1, FILES - 2):
        os.link(source, made / f"{number:03}.jpg")
    (made / "bad.jpg").write_bytes(b"no image")
    (made / "photo.gif").write_bytes(encode(noise(), "GIF"))
    (made / "notes.txt").write_text("not for you")
    return made


@pytest.fixture(scope="module")
def url(store: Path) -> Iterator[str]:
    with served(Settings(store=store, measure_s=0)) as client:
        yield str(client.base_url).rstrip("/")


def rows(output: Path) -> dict[str, dict[str, str]]:
    with output.open(newline="") as file:
        found = list(csv.DictReader(file))
    assert len({row["file"] for row in found}) == len(found)
    return {row["file"]: row for row in found}


def without_times(table: dict[str, dict[str, str]]) -> dict[str, dict[str, str]]:
    return {
        name: {key: value for key, value in row.items() if not key.endswith("_ms")}
        for name, row in table.items()
    }


def test_the_table_is_that_of_a_service(
    capsys: pytest.CaptureFixture[str], url: str, store: Path, folder: Path, tmp_path: Path
) -> None:
    local, remote = tmp_path / "local.csv", tmp_path / "remote.csv"
    options = (str(folder), "--model", SMALL_V2, "--resolution", "128", "--top-k", "3")
    here = ("--local", "--store", str(store))
    ours = run(
        capsys,
        "classify",
        *options,
        *here,
        "--output",
        str(local),
        "--json",
    )
    assert ours.status == 1, ours.err  # because of the bad file
    summary = json.loads(ours.out)
    assert (summary["classified"], summary["failed"], summary["passed_over"]) == (FILES - 1, 1, 1)
    theirs = run(capsys, "classify", *options, "--url", url, "--output", str(remote))
    assert theirs.status == 1
    assert without_times(rows(local)) == without_times(rows(remote))
    assert rows(local)["000.jpg"]["model"] == SMALL_V2
    assert float(rows(local)["000.jpg"]["inference_ms"]) > 0
    assert rows(local)["bad.jpg"]["error"] == "not-an-image"
    again = run(
        capsys,
        "classify",
        *options,
        *here,
        "--output",
        str(local),
        "--json",
    )
    assert json.loads(again.out)["done_before"] == FILES
    other = run(capsys, "classify", *options, "--url", url, "--output", str(local))
    assert f"url was 'local:{store}' and is now" in other.err


@pytest.mark.parametrize("option", ["--output", "--embeddings"])
def test_a_local_table_may_be_parquet_and_have_embeddings(
    capsys: pytest.CaptureFixture[str], store: Path, tmp_path: Path, option: str
) -> None:
    parquet = pytest.importorskip(
        "pyarrow.parquet", reason="needs pyarrow; `make test` installs it"
    )
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "a.jpg").write_bytes(encode(noise()))
    (tmp_path / "photos" / "b.jpg").write_bytes(b"no image")
    output = tmp_path / "rows.parquet"
    done = run(
        capsys, "classify", str(tmp_path / "photos"), "--local", "--workers", "1",
        "--model", SMALL_V1, "--store", str(store), option, str(output),
    )  # fmt: skip
    assert done.status == 1, done.err
    good, bad = parquet.read_table(output).to_pylist()
    assert (good["file"], good["model"], good["error"]) == ("a.jpg", SMALL_V1, None)
    assert (bad["file"], bad["error"]) == ("b.jpg", "not-an-image")
    if option == "--embeddings":
        assert len(good["embedding"]) == 256  # 1024 channels at alpha 0.25
    else:
        assert 0 < good["probability_5"] <= good["probability_1"] <= 1


@pytest.mark.unmeasured
def test_a_killed_run_continues_where_it_stopped(store: Path, folder: Path, tmp_path: Path) -> None:
    output = tmp_path / "rows.csv"
    arguments = (
        folder, "--local", "--model", SMALL_V2, "--resolution", "224", "--workers", "1",
        "--store", store, "--output", output,
    )  # fmt: skip
    for _ in range(ATTEMPTS):  # until the kill is in the middle
        with command(*arguments) as process:
            await_rows(output, 20)
            process.send_signal(signal.SIGKILL)
            process.communicate(timeout=LIVELINESS_S)
        written = output.read_bytes().count(b"\n") - 1
        if written < FILES:
            break
        output.unlink()
    assert 20 <= written < FILES
    with command(*arguments) as process:
        said, complained = process.communicate(timeout=LIVELINESS_S)
    assert process.returncode == 1, complained
    assert f"{written} done before" in said
    assert rows(output).keys() == {path.name for path in folder.iterdir()} - {"notes.txt"}


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (("--local", "--url", "http://a"), "Argument --url: not allowed with argument --local"),
        (("--local", "--patience-s", "3"), "Argument --patience-s: not allowed with argument"),
        (("--local", "--explain", "maps"), "Argument --explain: not allowed with argument"),
        (("--workers", "3"), "Argument --workers: needs argument --local"),
        (("--store", "x"), "Argument --store: needs argument --local"),
    ],
    ids=lambda value: value[-2] if isinstance(value, tuple) else "",
)
def test_options_of_the_other_way_are_rejected(
    capsys: pytest.CaptureFixture[str],
    folder: Path,
    tmp_path: Path,
    given: tuple[str, ...],
    said: str,
) -> None:
    done = run(capsys, "classify", str(folder), "--output", str(tmp_path / "rows.csv"), *given)
    assert done.status == 2
    assert said in done.err


def test_a_model_that_cannot_be_opened_is_one_line(
    capsys: pytest.CaptureFixture[str], store: Path, folder: Path, tmp_path: Path
) -> None:
    options = ("classify", str(folder), "--local", "--output", str(tmp_path / "rows.csv"))
    done = run(capsys, *options, "--store", str(store), "--model", "mobilenet_v9")
    assert done.status == 1
    assert done.err.startswith("error: ")
    assert "has no mobilenet_v9" in done.err
    assert len(done.err.splitlines()) == 1
    assert "auto" in run(capsys, *options, "--store", str(store), "--model", "auto").err
    assert not (tmp_path / "rows.csv").exists()


def test_a_folder_with_a_package_app_is_named_if_it_is_in_the_way(
    store: Path, tmp_path: Path
) -> None:
    (tmp_path / "app").mkdir()
    (tmp_path / "app" / "__init__.py").write_text("")
    options = ("--local", "--model", SMALL_V1, "--store", str(store), "--output", "rows.csv")
    done = subprocess.run(
        [sys.executable, "-m", "mobilenet_gateway_client", "classify", ".", *options],
        cwd=tmp_path, capture_output=True, text=True, check=False,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(map(str, (ROOT / "client", ROOT)))},
    )  # fmt: skip
    assert done.returncode == 1
    assert done.stderr.startswith(f"error: --local: {tmp_path / 'app/__init__.py'} is imported")


def test_without_the_gateway_it_is_named_with_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "mobilenet_gateway", None)
    with (
        pytest.raises(ClientError, match=r"needs mobilenet-gateway.*`pip install \. \./client`"),
        open_local(None, None, None, None),
    ):
        pass
