"""Runs the command line: in this process, as the entry point does, or in one of its own."""

import gc
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

import pytest

from app.commands.cli import main
from app.environment import PREFIX
from tests.processes import COMMAND, LISTENING

END_S = 180  # more than anything takes on a loaded machine


class Outcome(NamedTuple):
    """What a command left behind."""

    status: int
    out: str
    err: str


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> Outcome:
    """Run `mobilenet-gateway` with these arguments in this process."""
    status: object = 0
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["mobilenet-gateway", *arguments])
        try:
            main()
        except SystemExit as end:
            status = end.code
        finally:
            gc.enable()  # a start that fails ends the process, so it does not
    out, err = capsys.readouterr()
    if isinstance(status, str):  # what the interpreter does with a text
        return Outcome(1, out, f"{err}{status}\n")
    return Outcome(int(str(status or 0)), out, err)


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """Run a command that has to fail for a reason; what it says."""
    outcome = run(capsys, *arguments)
    assert outcome.status == 1
    assert outcome.out == ""
    assert outcome.err.startswith("error: ")
    assert "Traceback" not in outcome.err
    return outcome.err.removeprefix("error: ").rstrip("\n")


def finished(*arguments: str, **variables: str) -> Outcome:
    """Run a command in a process of its own to its end."""
    done = subprocess.run(
        [COMMAND, *arguments],
        env=_environment(variables),
        capture_output=True,
        text=True,
        timeout=END_S,
        check=False,
    )
    return Outcome(done.returncode, done.stdout, done.stderr)


@contextmanager
def started(*arguments: str, **variables: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """`serve` with these arguments on a free port until the end of the block, and its address."""
    process = subprocess.Popen(
        [COMMAND, "serve", "--port", "0", "--drain-s", "0", *arguments],
        env=_environment(variables),
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield process, _address(process)
    finally:
        process.terminate()
        process.communicate(timeout=END_S)


def _address(process: subprocess.Popen[str]) -> str:
    assert process.stderr is not None
    said = ""
    for line in process.stderr:
        said += line
        if found := LISTENING.search(line):
            return f"{found[1]}://127.0.0.1:{found[2]}"
    raise AssertionError(f"the service did not start:\n{said}")


def _environment(variables: dict[str, str]) -> dict[str, str]:
    """This process's environment without its settings, with these."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}
    return kept | variables
