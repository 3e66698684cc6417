"""Rows that survive whatever ends the run."""

import csv
import errno
import fcntl
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mobilenet_gateway_client import Classification, Prediction, UnreadableImage
from mobilenet_gateway_client._command.rows import Row, columns
from mobilenet_gateway_client._command.run_file import (
    Csv,
    Form,
    Identity,
    JsonLines,
    OutputError,
    RunFile,
    note_path,
)

RUN = Identity("http://gateway", "/photos", "m", None, 2, False)
FORMS: dict[str, Form] = {"csv": Csv(columns(2)), "jsonl": JsonLines()}
# As the operating system hands out names: any bytes but / and NUL.
NAMES = st.binary(min_size=1, max_size=12).map(
    lambda raw: raw.replace(b"/", b"_").replace(b"\0", b"_").decode("utf-8", "surrogateescape")
)


def row(name: str) -> Row:
    predictions = (Prediction(1, 'a "label", with\nall', 0.75), Prediction(2, "b", 0.125))
    return Row(name, Classification("m", 224, predictions, 0.1, 2.0, 3.0))


def write(path: Path, form: Form, names: list[str]) -> None:
    with RunFile(path, form, RUN) as rows:
        for name in names:
            rows.append(row(name))


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
@given(names=st.lists(NAMES, min_size=1, max_size=5, unique=True), data=st.data())
@settings(deadline=None, max_examples=60)
def test_a_file_cut_off_anywhere_is_taken_up_at_its_last_whole_row(
    form: Form, names: list[str], data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("run") / "rows"
    write(path, form, names)
    whole = path.read_bytes()
    ends = [len(form.head())]
    for name in names:
        ends.append(ends[-1] + len(form.line(row(name))))
    cut = data.draw(st.integers(0, len(whole)))
    path.write_bytes(whole[:cut])
    with RunFile(path, form, RUN) as rows:
        assert rows.done == set(names[: sum(end <= cut for end in ends[1:])])
        for name in names:
            if name not in rows.done:
                rows.append(row(name))
    assert path.read_bytes() == whole


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
@given(
    names=st.lists(NAMES, max_size=4, unique=True),
    put=st.text('",;\r\n{}ax', max_size=20).map(str.encode) | st.binary(max_size=20),
    data=st.data(),
)
@settings(deadline=None, max_examples=200)
def test_a_file_that_was_changed_in_any_way_keeps_every_byte(
    form: Form, names: list[str], put: bytes, data: st.DataObject, tmp_path_factory: Any
) -> None:
    path = tmp_path_factory.mktemp("run") / "rows"
    failed = Row("last.jpg", Classification("m", 224, error=UnreadableImage("why")))
    write(path, form, names)
    with RunFile(path, form, RUN) as rows:
        rows.append(failed)
    whole = path.read_bytes()
    end = data.draw(st.integers(0, len(whole) - len(form.line(failed))))
    changed = whole[: data.draw(st.integers(0, end))] + put + whole[end:]
    path.write_bytes(changed)
    try:
        with RunFile(path, form, RUN) as rows:
            rows.append(row("new.jpg"))
    except OutputError:
        assert path.read_bytes() == changed
    else:
        assert path.read_bytes() == changed + form.line(row("new.jpg"))


@pytest.mark.parametrize(
    ("form", "change", "reason"),
    [
        ("csv", lambda text: text.replace(b"\n", b",yes\n"), "its columns are not file, error"),
        ("csv", lambda text: text.replace(b",", b";"), "its columns are not file, error"),
        ("csv", lambda text: text.replace(b"\nb", b"\n\nb"), "line 4 is no row of this run"),
        ("csv", lambda text: text.replace(b"\nb", b'\n"b'), "line 4 is no row of this run"),
        ("csv", lambda text: text.replace(b"\n", b",yes\n")[:-1], "its columns are not"),
        ("jsonl", lambda text: text.replace(b"\n", b"\n\n", 1), "line 2 is no row of this run"),
        ("jsonl", lambda text: text.replace(b'"file": "b"', b'"file": 1'), "line 2 is no row"),
        ("jsonl", lambda text: text + b"seen", "line 4 is no row of this run"),
    ],
)
def test_a_file_that_was_changed_is_refused_with_where_and_what_to_do(
    form: str, change: Callable[[bytes], bytes], reason: str, tmp_path: Path
) -> None:
    path = tmp_path / "rows"
    write(path, FORMS[form], ["a", "b", "c"])
    before = change(path.read_bytes())
    path.write_bytes(before)
    with pytest.raises(OutputError, match=f"{reason}.*; put that right, name another file, or rem"):
        RunFile(path, FORMS[form], RUN)
    assert path.read_bytes() == before


def test_rows_of_both_forms_say_the_same(tmp_path: Path) -> None:
    failed = Row("bad.jpg", Classification("m", 224, error=UnreadableImage("why")))
    for name, form in FORMS.items():
        with RunFile(tmp_path / name, form, RUN) as rows:
            rows.append(row("a,b.jpg"))
            rows.append(failed)
    with (tmp_path / "csv").open(newline="") as file:
        good, bad = csv.DictReader(file)
    lines = [json.loads(line) for line in (tmp_path / "jsonl").read_text().splitlines()]
    assert lines[0]["predictions"][0]["label"] == good["label_1"]
    assert lines[0]["decode_ms"] == float(good["decode_ms"])
    assert lines[1]["error"] == {"type": bad["error"], "detail": bad["error_detail"]}
    assert "predictions" not in lines[1]


def test_another_run_is_refused_with_what_differs(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    write(path, FORMS["csv"], ["a"])
    before = path.read_bytes()
    other = replace(RUN, model="n")
    with pytest.raises(OutputError, match="model was 'm' and is now 'n'"):
        RunFile(path, FORMS["csv"], other)
    assert path.read_bytes() == before
    path.unlink()  # what the message says
    with RunFile(path, FORMS["csv"], other) as rows:
        assert rows.done == set()


def test_a_note_with_a_password_is_taken_up_and_rid_of_it(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    write(path, FORMS["csv"], ["a"])
    note = note_path(path)
    note.write_text(note.read_text().replace("http://", "http://me:secret@"))
    with pytest.raises(OutputError, match="model was") as refusal:
        RunFile(path, FORMS["csv"], replace(RUN, model="n"))
    assert "secret" not in str(refusal.value)
    with RunFile(path, FORMS["csv"], RUN) as rows:
        assert rows.done == {"a"}
    assert "secret" not in note.read_text()


@pytest.mark.parametrize("note", ["", "{", "[]", "5", '"text"', "{}"])
def test_rows_whose_note_is_damaged_are_taken_up(note: str, tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    write(path, FORMS["csv"], ["a"])
    whole = note_path(path).read_text()
    note_path(path).write_text(note)
    with RunFile(path, FORMS["csv"], RUN) as rows:
        assert rows.done == {"a"}
    assert note_path(path).read_text() == whole


def test_a_note_without_a_text_for_an_address_is_of_another_run(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    write(path, FORMS["csv"], ["a"])
    note_path(path).write_text('{"url": 5}')
    with pytest.raises(OutputError, match="url was '5' and is now"):
        RunFile(path, FORMS["csv"], RUN)


def test_a_file_of_somebody_else_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_text("my diary\n")
    with pytest.raises(OutputError, match="not written by this command"):
        RunFile(path, FORMS["csv"], RUN)
    assert path.read_text() == "my diary\n"
    assert len(list(tmp_path.iterdir())) == 1


def test_two_runs_do_not_write_one_file(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    with (
        RunFile(path, FORMS["csv"], RUN),
        pytest.raises(OutputError, match="another run is writing"),
    ):
        RunFile(path, FORMS["csv"], RUN)


def test_a_file_system_without_locks_is_written_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", refuse)
    write(tmp_path / "rows.csv", FORMS["csv"], ["a"])
    assert (tmp_path / "rows.csv").read_bytes().count(b"\n") > 1


def test_a_run_that_wrote_nothing_leaves_nothing(tmp_path: Path) -> None:
    write(tmp_path / "rows.csv", FORMS["csv"], [])
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_not_there_is_said_in_a_line(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="No such file"):
        RunFile(tmp_path / "missing" / "rows.csv", FORMS["csv"], RUN)
