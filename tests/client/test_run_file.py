"""Rows that survive whatever ends the run."""

import csv
import errno
import fcntl
import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mobilenet_gateway_client import Classification, ClassScore, UnreadableImage
from mobilenet_gateway_client._command.formats import Csv, JsonLines, OutputError, RowFormat
from mobilenet_gateway_client._command.rows import Row, columns
from mobilenet_gateway_client._command.run_file import Identity, RunFile, record_path

RUN = Identity("http://gateway", "/photos", "m", None, 2, False)
FORMATS: dict[str, RowFormat] = {"csv": Csv(columns(2)), "jsonl": JsonLines()}
# As the operating system hands out names: any bytes but / and NUL.
NAMES = st.binary(min_size=1, max_size=12).map(
    lambda raw: raw.replace(b"/", b"_").replace(b"\0", b"_").decode("utf-8", "surrogateescape")
)


def row(name: str) -> Row:
    predictions = (ClassScore(1, 'a "label", with\nall', 0.75), ClassScore(2, "b", 0.125))
    return Row(name, Classification("m", 224, predictions, 0.1, 2.0, 3.0))


def write(path: Path, row_format: RowFormat, names: list[str]) -> None:
    with RunFile(path, row_format, RUN) as rows:
        for name in names:
            rows.append(row(name))


@pytest.mark.parametrize("row_format", FORMATS.values(), ids=FORMATS)
@given(names=st.lists(NAMES, min_size=1, max_size=5, unique=True), data=st.data())
@settings(deadline=None, max_examples=60)
def test_a_file_cut_off_anywhere_is_continued_after_its_last_whole_row(
    row_format: RowFormat,
    names: list[str],
    data: st.DataObject,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    path = tmp_path_factory.mktemp("run") / "rows"
    write(path, row_format, names)
    whole = path.read_bytes()
    ends = [len(row_format.head())]
    for name in names:
        ends.append(ends[-1] + len(row_format.line(row(name))))
    cut = data.draw(st.integers(0, len(whole)))
    path.write_bytes(whole[:cut])
    with RunFile(path, row_format, RUN) as rows:
        assert rows.done == set(names[: sum(end <= cut for end in ends[1:])])
        for name in names:
            if name not in rows.done:
                rows.append(row(name))
    assert path.read_bytes() == whole


@pytest.mark.parametrize("row_format", FORMATS.values(), ids=FORMATS)
def test_a_power_cut_costs_at_most_256_rows(
    row_format: RowFormat, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is on the disk is what the file had when it was last synced."""
    path, on_disk = tmp_path / "rows", [0]
    actual = os.fsync

    def watched(descriptor: int) -> None:
        actual(descriptor)
        if os.path.samestat(os.fstat(descriptor), path.stat()):
            on_disk.append(os.fstat(descriptor).st_size)

    monkeypatch.setattr(os, "fsync", watched)
    ends = [0]
    with RunFile(path, row_format, RUN) as rows:
        for number in range(1000):
            rows.append(row(f"{number}.jpg"))
            ends.append(path.stat().st_size)  # a row is handed to the system at once
            lost = sum(end > on_disk[-1] for end in ends)
            assert lost <= 256
    assert ends == sorted(set(ends))
    assert 3 <= len(on_disk) - 1 <= 20  # and not for each row, which would be slow


@pytest.mark.parametrize("row_format", FORMATS.values(), ids=FORMATS)
@given(
    names=st.lists(NAMES, max_size=4, unique=True),
    put=st.text('",;\r\n{}ax', max_size=20).map(str.encode) | st.binary(max_size=20),
    data=st.data(),
)
@settings(deadline=None, max_examples=200)
def test_a_file_that_was_changed_in_any_way_keeps_every_byte(
    row_format: RowFormat, names: list[str], put: bytes, data: st.DataObject, tmp_path_factory: Any
) -> None:
    path = tmp_path_factory.mktemp("run") / "rows"
    failed = Row("last.jpg", Classification("m", 224, error=UnreadableImage("why")))
    write(path, row_format, names)
    with RunFile(path, row_format, RUN) as rows:
        rows.append(failed)
    whole = path.read_bytes()
    end = data.draw(st.integers(0, len(whole) - len(row_format.line(failed))))
    changed = whole[: data.draw(st.integers(0, end))] + put + whole[end:]
    path.write_bytes(changed)
    try:
        with RunFile(path, row_format, RUN) as rows:
            rows.append(row("new.jpg"))
    except OutputError:
        assert path.read_bytes() == changed
    else:
        assert path.read_bytes() == changed + row_format.line(row("new.jpg"))


@pytest.mark.parametrize(
    ("row_format", "change", "reason"),
    [
        ("csv", lambda text: text.replace(b"\n", b",yes\n"), "its columns are not file, error"),
        ("csv", lambda text: text.replace(b",", b";"), "its columns are not file, error"),
        ("csv", lambda text: text.replace(b"\nb", b"\n\nb"), "line 4 is not a row of this run"),
        ("csv", lambda text: text.replace(b"\nb", b'\n"b'), "line 4 is not a row of this run"),
        ("csv", lambda text: text.replace(b"\n", b",yes\n")[:-1], "its columns are not"),
        ("jsonl", lambda text: text.replace(b"\n", b"\n\n", 1), "line 2 is not a row of this run"),
        ("jsonl", lambda text: text.replace(b'"file": "b"', b'"file": 1'), "line 2 is not a row"),
        ("jsonl", lambda text: text + b"seen", "line 4 is not a row of this run"),
    ],
)
def test_a_changed_file_is_rejected_with_the_place_and_the_way_out(
    row_format: str, change: Callable[[bytes], bytes], reason: str, tmp_path: Path
) -> None:
    path = tmp_path / "rows"
    write(path, FORMATS[row_format], ["a", "b", "c"])
    before = change(path.read_bytes())
    path.write_bytes(before)
    with pytest.raises(
        OutputError, match=f"{reason}.*. Undo the change, name another file, or rem"
    ):
        RunFile(path, FORMATS[row_format], RUN)
    assert path.read_bytes() == before


def test_rows_of_both_forms_say_the_same(tmp_path: Path) -> None:
    failed = Row("bad.jpg", Classification("m", 224, error=UnreadableImage("why")))
    for name, row_format in FORMATS.items():
        with RunFile(tmp_path / name, row_format, RUN) as rows:
            rows.append(row("a,b.jpg"))
            rows.append(failed)
    with (tmp_path / "csv").open(newline="") as file:
        good, bad = csv.DictReader(file)
    lines = [json.loads(line) for line in (tmp_path / "jsonl").read_text().splitlines()]
    assert lines[0]["predictions"][0]["label"] == good["label_1"]
    for stage, took_ms in (("queue_ms", 0.1), ("decode_ms", 2.0), ("inference_ms", 3.0)):
        assert lines[0][stage] == float(good[stage]) == took_ms
    for rank, probability in ((1, 0.75), (2, 0.125)):
        assert lines[0]["predictions"][rank - 1]["probability"] == probability
        assert float(good[f"probability_{rank}"]) == probability
    assert lines[1]["error"] == {"type": bad["error"], "detail": bad["error_detail"]}
    assert "predictions" not in lines[1]


def test_another_run_is_rejected_with_the_differences(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    write(path, FORMATS["csv"], ["a"])
    before = path.read_bytes()
    other = replace(RUN, model="n")
    with pytest.raises(OutputError, match="model was 'm' and is now 'n'"):
        RunFile(path, FORMATS["csv"], other)
    assert path.read_bytes() == before
    path.unlink()  # as the message says
    with RunFile(path, FORMATS["csv"], other) as rows:
        assert rows.done == set()


def test_a_record_with_a_password_is_accepted_and_cleaned(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    write(path, FORMATS["csv"], ["a"])
    record = record_path(path)
    record.write_text(record.read_text().replace("http://", "http://me:secret@"))
    with pytest.raises(OutputError, match="model was") as rejection:
        RunFile(path, FORMATS["csv"], replace(RUN, model="n"))
    assert "secret" not in str(rejection.value)
    with RunFile(path, FORMATS["csv"], RUN) as rows:
        assert rows.done == {"a"}
    assert "secret" not in record.read_text()


@pytest.mark.parametrize("record", ["", "{", "[]", "5", '"text"', "{}"])
def test_rows_with_a_damaged_record_are_continued(record: str, tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    write(path, FORMATS["csv"], ["a"])
    whole = record_path(path).read_text()
    record_path(path).write_text(record)
    with RunFile(path, FORMATS["csv"], RUN) as rows:
        assert rows.done == {"a"}
    assert record_path(path).read_text() == whole


def test_a_record_whose_address_is_not_text_is_of_another_run(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    write(path, FORMATS["csv"], ["a"])
    record_path(path).write_text('{"url": 5}')
    with pytest.raises(OutputError, match="url was '5' and is now"):
        RunFile(path, FORMATS["csv"], RUN)


def test_a_file_of_another_program_is_not_changed(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_text("my diary\n")
    with pytest.raises(OutputError, match="not written by this command"):
        RunFile(path, FORMATS["csv"], RUN)
    assert path.read_text() == "my diary\n"
    assert len(list(tmp_path.iterdir())) == 1


def test_two_runs_do_not_write_one_file(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    with (
        RunFile(path, FORMATS["csv"], RUN),
        pytest.raises(OutputError, match="Another run is writing"),
    ):
        RunFile(path, FORMATS["csv"], RUN)


def test_a_file_system_without_locks_is_supported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", fail)
    write(tmp_path / "rows.csv", FORMATS["csv"], ["a"])
    assert (tmp_path / "rows.csv").read_bytes().count(b"\n") > 1


def test_a_run_that_wrote_nothing_leaves_nothing(tmp_path: Path) -> None:
    write(tmp_path / "rows.csv", FORMATS["csv"], [])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("row_format", FORMATS.values(), ids=FORMATS)
@given(failing=st.lists(st.booleans(), min_size=1, max_size=6))
@settings(deadline=None, max_examples=30)
def test_rows_of_errors_are_known_and_removed_on_request(
    row_format: RowFormat, failing: list[bool], tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("run") / "rows"
    error = UnreadableImage('why, "this"\none')
    rows = [
        Row(f"{number}.jpg", Classification("m", 224, error=error)) if fails else row(f"{number}")
        for number, fails in enumerate(failing)
    ]
    with RunFile(path, row_format, RUN) as file:
        for one in rows:
            file.append(one)
        failed = file.failed
    assert failed == {one.file: error.detail for one in rows if one.failed}
    before = path.read_bytes()
    with RunFile(path, row_format, RUN) as file:
        assert file.failed == failed
        assert file.done == {one.file for one in rows}
        assert path.read_bytes() == before
    with RunFile(path, row_format, RUN, retry_failed=True) as file:
        good = [one for one in rows if not one.failed]
        assert (file.done, file.failed) == ({one.file for one in good}, {})
        file.append(row("last"))
    lines = [row_format.line(one) for one in (*good, row("last"))]
    assert path.read_bytes() == row_format.head() + b"".join(lines)


def test_a_run_may_take_up_subfolders_that_the_first_left_out(tmp_path: Path) -> None:
    path, recursive = tmp_path / "rows.csv", replace(RUN, recursive=True)
    write(path, FORMATS["csv"], ["a"])
    with RunFile(path, FORMATS["csv"], recursive) as rows:
        assert rows.done == {"a"}
    with pytest.raises(OutputError, match="recursive was True and is now False"):
        RunFile(path, FORMATS["csv"], RUN)


def test_a_missing_folder_is_reported_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="No such file"):
        RunFile(tmp_path / "missing" / "rows.csv", FORMATS["csv"], RUN)
