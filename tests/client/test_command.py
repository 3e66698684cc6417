"""`classify` with a real service, real files and real signals."""

import csv
import json
import os
import pty
import signal
import subprocess
import sys
import time
from base64 import b64decode
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from mobilenet_gateway_client import Client
from mobilenet_gateway_client.__main__ import main as client_main
from mobilenet_gateway_client._command.progress import LogProgress
from PIL import Image

from tests.app.cli_runner import Outcome, finished, run
from tests.app.sample_images import encode, noise
from tests.client.scripted import GOOD, INFO, Reply, scripted
from tests.conftest import SMALL_V1, SMALL_V2
from tests.processes import COMMAND, LIVELINESS_S, Service, running, until
from tests.processes import launch as start_service

FILES = 400


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Links to one image, a bad file with the name of an image, and a file of another type."""
    made = tmp_path_factory.mktemp("photos")
    (made / "below").mkdir()
    source = made / "below" / "source.jpg"
    source.write_bytes(encode(noise(320, 240)))
    for number in range(FILES - 1):
        os.link(source, made / f"{number:04}.jpg")
    (made / "bad.JPG").write_bytes(b"no image")
    (made / "notes.txt").write_text("not for you")
    return made


@pytest.fixture(scope="module")
def service(store: Path) -> Iterator[Service]:
    with running(store, default_model=SMALL_V1, measure_s=0) as service:
        yield service


def classified(service: Service) -> int:
    """Images that the service answered, errors too."""
    return int(service.metric("gateway_images_total"))


def names(output: Path) -> list[str]:
    with output.open(newline="") as file:
        return [row["file"] for row in csv.DictReader(file)]


def all_names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.suffix in (".jpg", ".JPG"))


@contextmanager
def command(*arguments: object) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [COMMAND, "classify", *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate(timeout=LIVELINESS_S)


def complaints(text: str) -> list[str]:
    """The lines of standard error that are not about progress."""
    return [line for line in text.splitlines() if not line.startswith("Classifying: ")]


def await_rows(output: Path, rows: int) -> None:
    until(
        lambda: output.exists() and output.read_bytes().count(b"\n") > rows,
        f"{rows} rows are written",
    )


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


@pytest.mark.parametrize(
    "number",
    [
        signal.SIGINT,
        pytest.param(signal.SIGTERM, marks=pytest.mark.unmeasured),
        pytest.param(signal.SIGKILL, marks=pytest.mark.unmeasured),
    ],
)
def test_a_stopped_run_continues_where_it_stopped(
    store: Path, folder: Path, tmp_path: Path, number: signal.Signals
) -> None:
    output = tmp_path / "rows.csv"
    with running(store, default_model=SMALL_V1, measure_s=0, workers=1) as service:
        arguments = (folder, "--url", service.base_url, "--output", output)
        with command(*arguments) as process:
            await_rows(output, 20)
            process.send_signal(number)
            said, complained = process.communicate(timeout=LIVELINESS_S)
        assert complaints(complained) == []
        if number == signal.SIGKILL:
            in_flight = 2 * 8
        else:
            assert process.returncode == 130
            assert "stopped, run it again to continue" in said
            in_flight = 0  # what was sent is written
        written = output.read_bytes().count(b"\n") - 1
        assert 20 <= written < FILES
        with command(*arguments) as process:
            said, complained = process.communicate(timeout=LIVELINESS_S)
        assert process.returncode in (0, 1), complained
        assert f"{written} done before" in said
        assert FILES <= classified(service) <= FILES + in_flight
    assert sorted(names(output)) == all_names(folder)


@pytest.mark.unmeasured
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_restart_of_the_service_in_the_middle_loses_nothing(
    store: Path, folder: Path, tmp_path: Path, number: signal.Signals
) -> None:
    output = tmp_path / "rows.csv"
    settings = {"default_model": SMALL_V1, "measure_s": 0, "workers": 1}
    with (
        running(store, **settings) as service,
        command(folder, "--url", service.base_url, "--output", output) as process,
    ):
        await_rows(output, 20)
        service.signal(number)
        service.wait()
        assert process.poll() is None
        again = start_service(store, tmp_path / "log", **settings, port=service.port)
        try:
            said, complained = process.communicate(timeout=LIVELINESS_S)
        finally:
            again.kill()
            again.wait()
    assert complaints(complained) == []
    assert f"{FILES - 1} classified, 1 failed" in said
    assert sorted(names(output)) == all_names(folder)


def test_a_second_signal_ends_a_run_that_waits_for_an_answer(folder: Path, tmp_path: Path) -> None:
    with (
        scripted([INFO, INFO, Reply(None)]) as script,
        command(folder, "--url", script.url, "--output", tmp_path / "rows.csv") as process,
    ):
        until(lambda: len(script.seen) > 2, "images are sent")
        process.send_signal(signal.SIGINT)
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(0.5)

        def ended() -> bool:
            process.send_signal(signal.SIGINT)  # again if the first was not handled yet
            with suppress(subprocess.TimeoutExpired):
                process.wait(10)  # far below the timeout of the client
            return process.returncode is not None

        until(ended, "the second signal ends it")
        assert process.returncode == 130


def test_a_password_in_the_address_is_sent_and_stored_nowhere(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "rows.csv"
    with scripted([INFO, INFO, GOOD, INFO, INFO, INFO]) as script:
        address = script.url.replace("://", "://me:se%40cret@")
        arguments = ("classify", str(folder / "below"), "--output", str(output), "--url")
        assert run(capsys, *arguments, address).status == 0
        assert all("Authorization" in headers for headers in script.headers)
        assert b64decode(script.headers[0]["Authorization"].split()[1]) == b"me:se@cret"
        for same in (address, script.url):
            assert "1 done before" in run(capsys, *arguments, same).out
        rejected = run(capsys, *arguments, address, "--top-k", "1")
        assert "top_k was 5 and is now 1" in rejected.err
        assert "cret" not in rejected.err
    assert {path.name for path in tmp_path.iterdir()} == {"rows.csv", ".rows.csv.run.json"}
    assert all(b"cret" not in path.read_bytes() for path in tmp_path.iterdir())


def test_a_gateway_that_stays_away_is_an_error_of_one_line(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "rows.csv"
    with scripted([INFO, INFO, GOOD, Reply(0)]) as script:
        outcome = run(capsys, 
            "classify", str(folder), "--url", script.url, "--output", str(output),
            "--patience-s", "0.5", "--concurrency", "1",
        )  # fmt: skip
    assert outcome.status == 1
    assert outcome.err.startswith(f"error: {script.url} does not answer")
    assert outcome.err.count("\n") == 1


def test_impossible_arguments_are_rejected_before_the_first_request(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rejections = {
        ("--output", str(tmp_path / "rows.xls")): ".csv, .jsonl, .parquet",
        ("--embeddings", str(tmp_path / "rows.csv")): "Embeddings are written as .parquet",
        ("--output", str(tmp_path / "rows.csv"), "--url", "gateway"): "Invalid address",
    }
    for arguments, reason in rejections.items():
        outcome = run(capsys, "classify", str(folder), *arguments)
        assert outcome.status == 1
        assert outcome.err.startswith("error: ")
        assert reason in outcome.err
    assert list(tmp_path.iterdir()) == []


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


def alone(*arguments: object, without: str = "", stderr: int = subprocess.PIPE) -> Outcome:
    """Run the command of the client itself, as if the module `without` were not installed."""
    code = (
        "import sys; sys.modules[sys.argv.pop(1)] = None; "
        "from mobilenet_gateway_client.__main__ import main; main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, without or "nothing", *map(str, arguments)],
        stdout=subprocess.PIPE, stderr=stderr, text=True, timeout=LIVELINESS_S, check=False,
    )  # fmt: skip
    return Outcome(done.returncode, done.stdout, done.stderr or "")


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


def written(terminal: int) -> Iterator[bytes]:
    """What was written to a terminal whose other side is closed."""
    with suppress(OSError):
        while part := os.read(terminal, 4096):
            yield part


@pytest.mark.parametrize(
    ("without", "shown"), [("rich", "Classifying: 0 of 1, 0 images/s"), ("", "Classifying")]
)
def test_progress_on_a_terminal_is_a_bar_with_rich_and_a_line_without(
    without: str, shown: str, folder: Path, tmp_path: Path
) -> None:
    ours, theirs = pty.openpty()
    with scripted([INFO, INFO, GOOD]) as script:
        done = alone(
            "classify", folder / "below", "--url", script.url, "--output", tmp_path / "rows.csv",
            without=without, stderr=theirs,
        )  # fmt: skip
    os.close(theirs)
    text = b"".join(written(ours)).decode()
    os.close(ours)
    assert done.status == 0
    assert f"Connecting to {script.url} for up to 120 s" in text
    assert shown in text
    assert ("\x1b" in text) == (not without)  # only a bar moves the cursor
    assert text.endswith("\r") or not without


def test_progress_without_a_terminal_is_a_line_now_and_then(
    capsys: pytest.CaptureFixture[str],
) -> None:
    said = ""

    def shown(text: str) -> bool:
        nonlocal said
        said += capsys.readouterr().err
        return text in said

    with LogProgress(interval_s=0.01) as progress:
        progress.wait("Connecting to a gateway")
        until(lambda: shown("Connecting to a gateway\n"), "the reason of the wait is shown")
        progress.start(400, 3)
        progress.advance()
        until(lambda: shown("Classifying: 4 of 400, 0 images/s\n"), "the count is shown")
    assert "\r" not in said


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        pytest.param(("nowhere", "--output", "x.csv"), "'nowhere' is not a folder.", id="folder"),
        pytest.param((".", "--output", "."), "'.' is a folder.", id="output"),
        pytest.param(
            (".", "--output", "x.csv", "--embeddings", "x.parquet"),
            "--embeddings: not allowed with argument --output.",
            id="two-tables",
        ),
        pytest.param(
            (".", "--output", "x.csv", "--model", "gate,porch"),
            "--model: a table has the classes of one head.",
            id="several-heads",
        ),
        pytest.param(
            (".", "--embeddings", "x.parquet", "--top-k", "2"),
            "--top-k: not allowed with argument --embeddings.",
            id="classes-of-embeddings",
        ),
        pytest.param(
            (".", "--embeddings", "x.parquet", "--explain", "maps"),
            "--explain: not allowed with argument --embeddings.",
            id="maps-of-embeddings",
        ),
        pytest.param(
            (".", "--output", "x.csv", "--explain", __file__), "is not a folder.", id="maps"
        ),
        pytest.param((".", "--embeddings", "."), "--embeddings: '.' is a folder.", id="table"),
        pytest.param((".", "--top-k", "101"), "'101' is not a whole number, 1 to 100.", id="top-k"),
        pytest.param((".", "--concurrency", "x"), "'x' is not a whole number", id="concurrency"),
        pytest.param((".", "--patience-s", "-1"), "'-1' is not a number of seconds", id="negative"),
        pytest.param((".", "--patience-s", "x"), "'x' is not a number of seconds", id="text"),
        pytest.param((".", "--top", "1"), "--output --embeddings is required.", id="abbreviation"),
    ],
)
def test_a_bad_argument_is_rejected_with_the_way_to_the_help(
    arguments: tuple[str, ...],
    reason: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sys, "argv", ["mobilenet-gateway-client", "classify", *arguments])
    with pytest.raises(SystemExit) as ended:
        client_main()
    said = capsys.readouterr().err
    assert ended.value.code == 2
    assert "Try 'mobilenet-gateway-client classify --help' for help." in said
    assert reason in said
