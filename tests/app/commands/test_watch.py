"""`mobilenet-gateway watch`, as somebody types it."""

import io
import json
import signal
import subprocess
import time
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from app.cameras.event import Event
from app.commands.watch import Lines, summary, watch
from app.errors import SettingError, UnknownModel
from loadtest.cameras.scenes import plain
from tests.app.cameras.mqtt.steered import NOON, shown
from tests.app.cameras.watched import put
from tests.conftest import SMALL_V1
from tests.processes import COMMAND, LIVELINESS_S, MEASURED, environment, until


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_it_prints_events_as_json_until_it_is_interrupted(store: Path, tmp_path: Path) -> None:
    folder, out = tmp_path / "camera", tmp_path / "out"
    folder.mkdir()
    names = count()
    command = [COMMAND, "watch", "--source", str(folder), "--store", str(store), "--json"]
    command += ["--model", SMALL_V1, "--start-probability", "0.0001", "--frames-per-s", "50"]
    with out.open("w") as file:
        process = subprocess.Popen(
            command, env=environment(store, **MEASURED), stdout=file, stderr=subprocess.PIPE
        )

    def seen() -> bool:
        assert process.poll() is None, process.communicate()
        number = next(names)
        put(folder, f"{number}.jpg", plain(0))
        time.sleep(min(0.5 * 1.2**number, 10))  # a file must lie still to count
        return "\n" in out.read_text("utf-8")

    until(seen, "an event is printed")
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=LIVELINESS_S)
    assert process.returncode == 0, errors
    assert errors == b""
    event = json.loads(out.read_text("utf-8").splitlines()[0])
    assert (event["camera"], event["state"], event["label"]) == ("camera", "start", "bullet train")


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ({"source": "ftp://host"}, "--source: unknown kind of address"),
        ({"source": ""}, "--source: unknown kind of address"),
        ({"source": "/", "frames_per_s": 0.0}, "--frames-per-s: Input should be greater than 0"),
        ({"source": "/", "mqtt": "broker"}, "--mqtt: write mqtt://HOST:PORT"),
    ],
)
def test_a_mistake_is_named_as_it_was_typed(given: dict[str, Any], text: str) -> None:
    with pytest.raises(SettingError) as raised:
        watch(**given)
    assert str(raised.value).startswith(text)


def test_a_model_that_is_not_in_the_store_is_named(store: Path) -> None:
    with pytest.raises(UnknownModel, match=f"Unknown model 'gate'.*{SMALL_V1}"):
        watch("/", model="gate", store=store)


def test_a_terminal_shows_events_and_below_them_the_present_state() -> None:
    out = Terminal()
    lines = Lines(out)
    lines.refresh(shown("camera", label="open", probability=0.93, frames_seen=7))
    lines.show(Event("1", "camera", "gate", "op\x1b[2Jen\n", "start", 0.93, NOON))
    lines.close()
    before, state, event, rest = out.getvalue().split("\r\x1b[2K")
    assert before == ""
    assert state.startswith("open 93% | 5.0 frames/s | 7 frames")
    assert event.endswith("start  op\\x1b[2Jen\\n  93%\n")  # no label controls the terminal
    assert rest == ""


def test_without_a_terminal_there_are_lines_only() -> None:
    out = io.StringIO()
    lines = Lines(out)
    lines.refresh(shown("camera"))
    lines.show(shown("camera", error="The camera answered 401."))
    lines.show(shown("camera", error="The camera answered 401."))
    lines.show(shown("camera"))
    lines.close()
    assert out.getvalue() == "The camera answered 401.\nConnected to /photos.\n"
    assert summary(shown("camera", error="a\tb")) == "a\\tb"
