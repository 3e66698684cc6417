"""Runs of `classify`: real signals, gateways that go away, and progress."""

import os
import pty
import signal
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from mobilenet_gateway_client._command.progress import LogProgress

from tests.app.cli_runner import run
from tests.client.command import (
    FILES,
    all_names,
    alone,
    await_rows,
    classified,
    command,
    complaints,
    names,
)
from tests.client.scripted import GOOD, INFO, Reply, scripted
from tests.conftest import SMALL_V1
from tests.processes import LIVELINESS_S, running, until
from tests.processes import launch as start_service


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
