"""Containers of the image under test, which end with the test."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from container.docker import docker, inspect
from tests.processes import LIVELINESS_S, until

EMULATED = ("--init", "--tmpfs", "/sys/devices/system/cpu")  # qemu 7.2 fails on its contents


@dataclass(frozen=True, slots=True)
class Memory:
    """Resident memory of a process."""

    anonymous_bytes: int
    """Its own, which the kernel cannot take back."""
    mapped_bytes: int
    """Pages of libraries. With a page that is used the kernel maps those neighbours that it has
    cached, so the same image shows 42 MB after a boot and 49 MB after its files were read."""

    def __str__(self) -> str:
        return f"{self.anonymous_bytes / 1e6:.1f} + {self.mapped_bytes / 1e6:.1f} MB"


@dataclass(frozen=True, slots=True)
class Container:
    """A started container."""

    id: str

    @property
    def state(self) -> dict[str, Any]:
        found: dict[str, Any] = inspect(self.id)["State"]
        return found

    @property
    def log(self) -> str:
        run = docker("logs", self.id)
        return run.stdout + run.stderr

    @property
    def base_url(self) -> str:
        [port] = inspect(self.id)["NetworkSettings"]["Ports"]["8000/tcp"]
        return f"http://127.0.0.1:{port['HostPort']}"

    @property
    def pid(self) -> int:
        """The process id of the service on this machine."""
        return int(self.state["Pid"])

    @property
    def memory(self) -> Memory:
        lines = Path(f"/proc/{self.pid}/status").read_text("utf-8").splitlines()
        values = dict(line.split(":", 1) for line in lines)
        return Memory(
            anonymous_bytes=int(values["RssAnon"].split()[0]) * 1024,
            mapped_bytes=int(values["RssFile"].split()[0]) * 1024,
        )

    def client(self) -> httpx.Client:
        return httpx.Client(base_url=self.base_url, timeout=LIVELINESS_S, trust_env=False)

    def ready(self) -> bool:
        assert self.state["Running"], self.log
        try:
            return httpx.get(f"{self.base_url}/readyz", trust_env=False).status_code == 200
        except httpx.TransportError:
            return False

    def wait_until_ready(self) -> "Container":
        until(self.ready, "the container is ready")
        return self

    def ask_healthcheck(self) -> subprocess.CompletedProcess[str]:
        """Run the image's own health check inside the container."""
        command = inspect(self.id)["Config"]["Healthcheck"]["Test"][1:]
        return docker("exec", self.id, *command, check=False)


@contextmanager
def started(image: str, *options: str, command: tuple[str, ...] = ()) -> Iterator[Container]:
    """A container with port 8000 on a free port of this machine."""
    name = f"gateway-test-{os.getpid()}-{os.urandom(4).hex()}"
    try:
        run = docker("run", "--detach", "--name", name, "--publish", "127.0.0.1::8000",
                     *options, image, *command)  # fmt: skip
        yield Container(run.stdout.strip())
    finally:
        docker("rm", "--force", "--volumes", name, check=False)


@contextmanager
def running(image: str, *options: str) -> Iterator[Container]:
    """A container whose service answers."""
    with started(image, *options) as container:
        yield container.wait_until_ready()


def failed_start(image: str, *options: str) -> str:
    """The error of a service that cannot start."""
    run = docker("run", "--rm", *options, image, check=False)
    assert run.returncode == 1, run.stdout + run.stderr
    return run.stderr
