"""Another model server: its folder under `peers/`, its virtual environment, and how it starts.

A folder holds the server's code as its users would write it, `requirements.txt` with pinned
versions, and `peer.toml`. In `start` and `env` of that file, `{python}`, `{bin}`, `{port}`,
`{port2}`, `{port3}` and `{cores}` are replaced. The environment also has `MODEL`, `PORT` and
`CORES`.
"""

import dataclasses
import hashlib
import os
import subprocess
import sys
import tomllib
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from loadtest.host.server import Server, free_port
from loadtest.load.body import Body, json_from_template, multipart, raw

PEERS = Path(__file__).parent
VENVS = Path(__file__).parents[1] / ".venvs"
INSTALLED = ".installed"  # file with the hash of the installed requirements
INSTALL_S = 900
START_S = 90


class PeerUnavailable(Exception):
    """The peer cannot be installed here; the text says why."""


@dataclass(frozen=True, slots=True)
class Peer:
    """A server to compare with, as `peer.toml` describes it."""

    name: str
    title: str
    start: list[str]
    ready: str
    path: str
    form: str  # raw, multipart or json
    settings: str
    field: str = "image"  # of a form
    template: str = ""  # of JSON
    env: dict[str, str] = dataclasses.field(default_factory=dict)

    @property
    def folder(self) -> Path:
        return PEERS / self.name

    @property
    def venv(self) -> Path:
        return VENVS / self.name

    @property
    def requirements(self) -> Path:
        return self.folder / "requirements.txt"

    @property
    def version(self) -> str:
        """The pinned version of the server, which is the first requirement."""
        return self.requirements.read_text("utf-8").split("\n", 1)[0].partition("==")[2]

    def body(self, image: bytes) -> Body:
        match self.form:
            case "raw":
                return raw(image)
            case "multipart":
                return multipart(image, field=self.field)
            case _:
                return json_from_template(image, self.template)

    def install(self, log: Path) -> None:
        """Make the virtual environment, unless the existing one has these requirements.

        Raises:
            PeerUnavailable: pip failed; the text is its last error.
        """
        stamp = self.venv / INSTALLED
        wanted = hashlib.sha256(self.requirements.read_bytes()).hexdigest()
        if stamp.is_file() and stamp.read_text() == wanted:
            return
        make = [sys.executable, "-m", "venv", "--clear", self.venv]
        install = [self.venv / "bin" / "python", "-m", "pip", "install", "--quiet", "-r"]
        run = partial(subprocess.run, stderr=subprocess.STDOUT, timeout=INSTALL_S, check=True)
        with log.open("wb") as output:
            try:
                run(make, stdout=output)
                run([*install, self.requirements], stdout=output)
            except (subprocess.SubprocessError, OSError) as error:
                lines = log.read_text("utf-8", "replace").splitlines()
                errors = [line for line in lines if "ERROR" in line] or [str(error)]
                raise PeerUnavailable(errors[-1][-300:]) from error
        stamp.write_text(wanted)

    def serve(self, model: Path, cores: int, log: Path) -> Server:
        """Start the server with one model.

        Raises:
            ServerError: the server did not start.
        """
        names = {
            "python": str(self.venv / "bin" / "python"),
            "bin": str(self.venv / "bin"),
            "cores": str(cores),
            **{key: str(free_port()) for key in ("port", "port2", "port3")},
        }
        env = {key: value.format_map(names) for key, value in self.env.items()}
        env |= {
            "MODEL": str(model.resolve()),
            "PORT": names["port"],
            "CORES": names["cores"],
            "PATH": f"{names['bin']}{os.pathsep}{os.environ['PATH']}",
            "PYTHONPATH": str(PEERS / "classifier"),
        }
        return Server(
            [part.format_map(names) for part in self.start],
            int(names["port"]),
            self.ready,
            env=env,
            folder=self.folder,
            log=log,
            start_timeout_s=START_S,
        )


def read_peers(folder: Path = PEERS) -> list[Peer]:
    """Return all peers in the order of their names.

    Raises:
        TypeError: a `peer.toml` has an unknown key or lacks a required one.
    """
    return [
        Peer(name=file.parent.name, **tomllib.loads(file.read_text("utf-8")))
        for file in sorted(folder.glob("*/peer.toml"))
    ]
