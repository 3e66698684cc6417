"""One run of one server in the comparison."""

from dataclasses import dataclass
from pathlib import Path

from loadtest.host.server import ServerError
from loadtest.load.wrk import run_wrk, saturating
from loadtest.peers.gateway import Gateway
from loadtest.peers.peer import Peer
from loadtest.peers.result import PeerRun

WARM_UP_S = 2
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
        file = body.write(self.folder / "body")
        log = self.folder / f"{server_under_test.name}.log"
        with server_under_test.serve(self.model, self.cores, log) as server:
            answer = server.post(server_under_test.path, body.content_type, body.data)
            label = first_label(answer, self.ranked)
            if label != self.ranked[0]:
                raise ServerError(f"the first label is {label}, not {self.ranked[0]}")
            url, connections = server.url(server_under_test.path), saturating(self.cores)
            run_wrk(url, file, body.content_type, connections, WARM_UP_S)
            before_s = server.cpu_s()
            closed = run_wrk(url, file, body.content_type, connections, self.seconds)
            cpu_s = server.cpu_s() - before_s
            if closed.requests == closed.bad_statuses:
                raise ServerError(f"no answer under load: {server.log_tail()}")
            return PeerRun(server.ready_s, closed, cpu_s, server.memory())


def first_label(answer: str, labels: list[str]) -> str | None:
    """Return the class name that comes first in an answer of any JSON structure."""
    found = [(answer.find(f'"{label}"'), label) for label in labels]
    return min((hit for hit in found if hit[0] >= 0), default=(0, None))[1]
