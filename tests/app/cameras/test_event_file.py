"""events.jsonl: whole lines, a bounded size, and a disk that is full."""

import json
import logging
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from app.cameras.event import Event
from app.cameras.event_file import EventFile, EventFileSettings
from app.cameras.settings import read_table
from app.errors import SettingError
from tests.full_disk import full_disk

NOON = datetime(2026, 11, 30, 12, tzinfo=UTC)
LIMIT_BYTES = 10_000


def opened(path: Path) -> EventFile:
    return EventFile.open(EventFileSettings(file=path, limit_bytes=LIMIT_BYTES))


def event(number: int) -> Event:
    return Event(f"{number:04}", "gate", "gate", "Tür\nzu", "end", 0.123456, NOON, NOON)


def lines(path: Path) -> list[Any]:
    return [json.loads(line) for line in path.read_bytes().splitlines()]


def test_an_event_is_a_line_whatever_its_label_holds(tmp_path: Path) -> None:
    path = tmp_path / "new" / "events.jsonl"
    opened(path).append(event(1))
    opened(path).append(event(2))
    assert [line["id"] for line in lines(path)] == ["0001", "0002"]
    assert lines(path)[0] == {
        "id": "0001",
        "camera": "gate",
        "model": "gate",
        "label": "Tür\nzu",
        "state": "end",
        "probability": 0.1235,
        "started_at": "2026-11-30T12:00:00.000+00:00",
        "ended_at": "2026-11-30T12:00:00.000+00:00",
    }


def test_two_files_never_grow_beyond_the_limit_and_have_the_newest_events(tmp_path: Path) -> None:
    path, before = tmp_path / "events.jsonl", tmp_path / "events.jsonl.1"
    file = opened(path)
    for number in range(200):
        file.append(event(number))
        sizes = [each.stat().st_size for each in (path, before) if each.exists()]
        assert sum(sizes) <= LIMIT_BYTES
    ids = [line["id"] for line in lines(before) + lines(path)]
    assert ids == [f"{number:04}" for number in range(200 - len(ids), 200)]
    assert len(ids) > 20


def test_a_full_disk_is_logged_once_and_costs_only_the_events_of_its_time(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    path = tmp_path / "events.jsonl"
    file = opened(path)
    file.append(event(1))
    with full_disk(path.stat().st_size + 20):
        for number in range(2, 5):
            file.append(event(number))
    file.append(event(5))
    assert [line["id"] for line in lines(path)] == ["0001", "0005"]
    messages = [record.getMessage() for record in caplog.records]
    assert [text.split(":")[0] for text in messages] == ["events.file", "events.file"]
    assert "until it works again" in messages[0]
    assert "3 events were lost" in messages[1]


def test_half_a_line_of_a_power_cut_spoils_no_other(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    path.write_bytes(b'{"id": "half')
    opened(path).append(event(1))
    assert json.loads(path.read_bytes().splitlines()[-1])["id"] == "0001"


def test_a_file_that_cannot_be_written_stops_the_start(tmp_path: Path) -> None:
    with pytest.raises(SettingError, match=r"events.file: cannot write .*Is a directory"):
        opened(tmp_path)
    with pytest.raises(SettingError, match="Did you mean file"):
        read_table("events", EventFileSettings, {"fil": "x"})
