"""`make locust-check`: Locust's users for a minute, without its page, against an own service."""

import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import typer

from loadtest.host.server import start_gateway

MODEL = "mobilenet_v2_1.0_224"
STORE = Path(__file__).resolve().parents[2] / "models" / "store"
LOCUSTFILE = Path(__file__).with_name("locustfile.py")


def locust_command(url: str, users: int, seconds: int, *options: str) -> list[str]:
    """Locust without its page against a running service."""
    command = [sys.executable, "-m", "locust", "--locustfile", str(LOCUSTFILE), "--headless"]
    command += ["--host", url, "--users", str(users), "--spawn-rate", str(users)]
    return [*command, "--run-time", f"{seconds}s", "--only-summary", *options]


def main(
    seconds: Annotated[int, typer.Option(min=5, help="Length of the test.")] = 60,
    users: Annotated[int, typer.Option(min=3, help="Cameras, phones and the dashboard.")] = 10,
    max_refused_percent: Annotated[float, typer.Option(help="503s that are allowed.")] = 5.0,
    max_p95_ms: Annotated[float, typer.Option(help="p95 that is allowed.")] = 1000.0,
) -> None:
    """Let the users of the Locust file use a service, and judge it."""
    bounds = ("--max-refused-percent", str(max_refused_percent), "--max-p95-ms", str(max_p95_ms))
    with (
        TemporaryDirectory() as folder,
        start_gateway(STORE, MODEL, Path(folder) / "server.log") as server,
    ):
        command = locust_command(server.url(""), users, seconds, *bounds)
        done = subprocess.run(command, check=False)
    raise typer.Exit(done.returncode)


if __name__ == "__main__":
    typer.run(main)
