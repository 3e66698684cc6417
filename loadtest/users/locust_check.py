"""`make locust-check`: half a minute of Locust's users, without its page, on a new service."""

import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import typer

from loadtest.host.gateway import start_gateway
from loadtest.host.model_store import LARGEST, STORE

LOCUSTFILE = Path(__file__).with_name("locustfile.py")


def locust_command(url: str, users: int, seconds: int, *options: str) -> list[str]:
    """Return the command that runs Locust without its page against a running service."""
    command = [sys.executable, "-m", "locust", "--locustfile", str(LOCUSTFILE), "--headless"]
    command += ["--host", url, "--users", str(users), "--spawn-rate", str(users)]
    return [*command, "--run-time", f"{seconds}s", "--only-summary", *options]


def main(
    seconds: Annotated[int, typer.Option(min=5, help="Length of the test.")] = 30,
    users: Annotated[int, typer.Option(min=3, help="Number of users of all kinds.")] = 10,
    max_refused_percent: Annotated[float, typer.Option(help="Maximum share of 503s.")] = 5.0,
    max_p95_ms: Annotated[float, typer.Option(help="Maximum p95.")] = 1000.0,
) -> None:
    """Run the users of the Locust file against a service that this command starts, and judge it."""
    limits = ("--max-refused-percent", str(max_refused_percent), "--max-p95-ms", str(max_p95_ms))
    with (
        TemporaryDirectory() as folder,
        start_gateway(STORE, LARGEST, Path(folder) / "server.log") as server,
    ):
        command = locust_command(server.url(""), users, seconds, *limits)
        done = subprocess.run(command, check=False)
    raise typer.Exit(done.returncode)


if __name__ == "__main__":
    typer.run(main)
