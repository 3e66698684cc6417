"""The command `classify` as a process, and the tables that it writes."""

import csv
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.app.cli_runner import Outcome
from tests.processes import COMMAND, LIVELINESS_S, Service, until

FILES = 400


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


def complaints(text: str) -> list[str]:
    """The lines of standard error that are not about progress."""
    return [line for line in text.splitlines() if not line.startswith("Classifying: ")]


def await_rows(output: Path, rows: int) -> None:
    until(
        lambda: output.exists() and output.read_bytes().count(b"\n") > rows,
        f"{rows} rows are written",
    )


def names(output: Path) -> list[str]:
    with output.open(newline="") as file:
        return [row["file"] for row in csv.DictReader(file)]


def all_names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.suffix in (".jpg", ".JPG"))


def classified(service: Service) -> int:
    """Images that the service answered, errors too."""
    return int(service.metric("gateway_images_total"))
