"""A stop during the start ends the process, wherever it comes."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

STOPS = [signal.SIGTERM, signal.SIGINT]


def finished(code: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    """Run code that installs the handlers, in a process of its own."""
    start = "import signal, sys; from app.system import signals; signals.end_on_stop()\n"
    command = [sys.executable, "-c", start + code, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("number", STOPS)
def test_a_stop_ends_the_process_where_exceptions_are_swallowed(number: signal.Signals) -> None:
    done = finished(
        """
try:
    signal.raise_signal(int(sys.argv[1]))
except BaseException:
    pass
print("went on")
""",
        int(number),
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_a_reload_does_nothing() -> None:
    done = finished("signal.raise_signal(signal.SIGHUP); print('went on')")
    assert (done.returncode, done.stdout) == (0, "went on\n")


@pytest.mark.parametrize("number", STOPS)
def test_a_stop_removes_unfinished_files(tmp_path: Path, number: signal.Signals) -> None:
    done = finished(
        """
from pathlib import Path
with signals.workspace(Path(sys.argv[2])) as folder:
    (Path(folder) / "half").write_text("a model")
    print(len(list(Path(sys.argv[2]).rglob("half"))), flush=True)
    signal.raise_signal(int(sys.argv[1]))
""",
        int(number),
        tmp_path,
    )
    assert (done.returncode, done.stdout) == (0, "1\n")
    assert not list(tmp_path.iterdir())
