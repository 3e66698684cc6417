"""One run of one server in the comparison, which is this project's own or a peer."""

from dataclasses import dataclass
from pathlib import Path

from loadtest.host.gateway import start_default, start_gateway
from loadtest.host.server import Server, ServerError
from loadtest.load.body import PATH, Body, BodyFile, raw
from loadtest.load.wrk import run_wrk, saturating
from loadtest.peers.peer import Peer
from loadtest.peers.result import PeerRun

WARM_UP_S = 2
LONE_S = 2
GATEWAY_NAME = "mobilenet-gateway"


class Gateway:
    """The service with its default settings."""

    name = GATEWAY_NAME
    title = f"**{GATEWAY_NAME}**"
    settings = "the defaults, raw JPEG body; request log off"
    path = PATH

    def __init__(self, version: str) -> None:
        self.version = version

    def body(self, image: bytes) -> Body:
        return raw(image)

    def serve(self, model: Path, cores: int, log: Path) -> Server:
        return start_gateway(model.parent, model.stem, log)


class DefaultInstall(Gateway):
    """The service as it is installed, with both forms of the default model."""

    name = f"{GATEWAY_NAME}-default"
    title = f"**{GATEWAY_NAME}**, as installed"
    settings = "the defaults, with both forms of the model in the store; request log off"

    def __init__(self, version: str, store: Path) -> None:
        super().__init__(version)
        self._store = store

    def serve(self, model: Path, cores: int, log: Path) -> Server:
        return start_default(self._store, log)


ServerUnderTest = Gateway | Peer


@dataclass(frozen=True, slots=True)
class Workload:
    """The model, the photo and the load that every server gets."""

    model: Path
    image: bytes
    ranked: list[str]  # class names, the right one first
    cores: int
    seconds: int
    folder: Path

    def run(self, server_under_test: ServerUnderTest) -> PeerRun:
        """Start a server, check its answer, measure it under load, and stop it.

        Raises:
            ServerError: the server did not start, or its answer is wrong.
        """
        body = server_under_test.body(self.image)
        file = BodyFile("body", self.folder / "body", body.content_type)
        file.path.write_bytes(body.data)
        log = self.folder / f"{server_under_test.name}.log"
        with server_under_test.serve(self.model, self.cores, log) as server:
            answer = server.post(server_under_test.path, body.content_type, body.data)
            answered_s, start_cpu_s = server.age_s(), server.cpu_s()
            label = first_label(answer, self.ranked)
            if label != self.ranked[0]:
                raise ServerError(f"the first label is {label}, not {self.ranked[0]}")
            url, connections = server.url(server_under_test.path), saturating(self.cores)
            run_wrk(url, file, connections, WARM_UP_S)
            before_s = server.cpu_s()
            closed = run_wrk(url, file, connections, self.seconds)
            cpu_s = server.cpu_s() - before_s
            if closed.requests == closed.bad_statuses:
                raise ServerError(f"no answer under load: {server.log_tail()}")
            memory = server.memory()
            before_s = server.cpu_s()
            lone = run_wrk(url, file, 1, LONE_S)
            lone_cpu_s = server.cpu_s() - before_s
            return PeerRun(answered_s, start_cpu_s, closed, cpu_s, memory, lone, lone_cpu_s)


def first_label(answer: str, labels: list[str]) -> str | None:
    """Return the class name that comes first in an answer of any JSON structure."""
    found = [(answer.find(f'"{label}"'), label) for label in labels]
    return min((hit for hit in found if hit[0] >= 0), default=(0, None))[1]
