"""`make fuzz`: thousands of hostile requests against the service, which has to survive them all.

It fails on an answer of 500 or more, on none within 5 s, on an error that is not a problem, on a
process that ended, and on memory that has grown by more than a tenth since the warm-up.
"""

import resource
import socket
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field
from http.client import HTTPException, HTTPResponse
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Lock, local
from typing import Annotated

import typer
from pydantic import ValidationError
from rich import box
from rich.console import Console
from rich.progress import track
from rich.table import Table

from app.problem import MEDIA_TYPE, Problem
from loadtest.host.server import HOST, Server, start_gateway
from loadtest.robustness.fuzz_cases import Case, honest_cases, make_case

ANSWER_S = 5.0
TOO_LATE, DEADLINE = 504, b"X-Deadline-Ms"
CONNECTIONS = 4  # far fewer than may wait, so that a 503 is a fault too
WARM_UP = 3000  # requests at most
REST_S = 3.0  # after it the service has given back what it freed
MOST_GROWTH = 0.10
FAULTS = Path("loadtest/results/fuzz")
CONSOLE = Console(stderr=True)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of one case: status and problem type, and a fault if it is one."""

    kind: str
    answer: str
    fault: str = ""


@dataclass(slots=True)
class Report:
    """What came of all cases. Resident memory is in bytes, after warm-up and at the end."""

    seed: int
    outcomes: Counter[tuple[str, str]] = field(default_factory=Counter)
    faults: dict[int, str] = field(default_factory=dict)
    warm_bytes: int = 0
    last_bytes: int = 0

    @property
    def growth(self) -> float:
        return self.last_bytes / self.warm_bytes - 1 if self.last_bytes else 0.0

    def failures(self) -> Iterator[str]:
        """Every reason why the service did not survive."""
        for number, fault in sorted(self.faults.items()):
            yield (
                f"case {number}: {fault}; "
                f"replay with python -m loadtest.robustness.fuzz --seed {self.seed} --only {number}"
            )
        if self.growth > MOST_GROWTH:
            yield f"memory grew by {self.growth:.1%} after the warm-up"


class Client:
    """Sends raw requests; a connection for each thread, kept as long as the server keeps it."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._thread = local()
        self._opened: set[socket.socket] = set()

    def ask(self, case: Case) -> Outcome:
        began = time.perf_counter()
        try:
            outcome = self._ask(case)
        except TimeoutError:
            self._close()
            return Outcome(case.kind, "none", f"no answer within {ANSWER_S} s")
        except (OSError, HTTPException) as error:
            self._close()
            fault = "" if case.broken_http else f"the connection broke: {error!r}"
            return Outcome(case.kind, "closed", fault)
        if (took := time.perf_counter() - began) > ANSWER_S:
            return Outcome(case.kind, outcome.answer, f"the answer took {took:.1f} s")
        return outcome

    def _ask(self, case: Case) -> Outcome:
        opened = self._connection()
        opened.sendall(case.request)
        if case.broken_http:
            opened.shutdown(socket.SHUT_WR)
        method = case.request.partition(b" ")[0].decode("latin-1")
        response = HTTPResponse(opened, method=method)
        response.begin()
        body = response.read()
        if case.broken_http or response.will_close:
            self._close()
        outcome = judge(case.kind, response, body, has_body=method != "HEAD")
        if response.status == TOO_LATE and DEADLINE in case.request:
            return Outcome(outcome.kind, outcome.answer)  # as it asked for
        return outcome

    def _connection(self) -> socket.socket:
        opened: socket.socket | None = getattr(self._thread, "opened", None)
        if opened is None:
            opened = socket.create_connection((HOST, self._port), ANSWER_S)
            self._thread.opened = opened
            self._opened.add(opened)
        return opened

    def close(self) -> None:
        """Close what the threads left open."""
        for opened in self._opened:
            opened.close()

    def _close(self) -> None:
        if opened := getattr(self._thread, "opened", None):
            opened.close()
            self._opened.discard(opened)
            self._thread.opened = None


def judge(kind: str, response: HTTPResponse, body: bytes, *, has_body: bool = True) -> Outcome:
    """Name an answer and say what is wrong with it."""
    status = response.status
    if status < 400 or not has_body:
        return Outcome(kind, str(status), f"status {status}" if status >= 500 else "")
    if response.headers["content-type"] != MEDIA_TYPE:
        return Outcome(kind, str(status), f"status {status} is no problem: {body[:200]!r}")
    try:
        problem = Problem.model_validate_json(body)
    except ValidationError as error:
        return Outcome(kind, str(status), f"status {status}: {error}")
    answer = f"{status} {problem.type.rpartition(':')[2]}"
    return Outcome(kind, answer, f"status {status}: {problem.detail}" if status >= 500 else "")


def fuzz(server: Server, seed: int, numbers: range, *, shown: bool) -> Report:
    """Send the cases with these numbers; the first third, at most 3000, is part of the warm-up."""
    report, client, lock = Report(seed), Client(server.port), Lock()

    def one(number: int) -> None:
        outcome = client.ask(make_case(seed, number))
        with lock:
            report.outcomes[outcome.answer, outcome.kind] += 1
            if outcome.fault:
                report.faults[number] = outcome.fault

    warm = min(len(numbers) // 3, WARM_UP)
    with ThreadPoolExecutor(CONNECTIONS) as pool, closing(client):
        list(pool.map(client.ask, honest_cases() * CONNECTIONS))
        for part, what in ((numbers[:warm], "warming up"), (numbers[warm:], "fuzzing")):
            sent = pool.map(one, part)
            for _ in track(sent, what, len(part), console=CONSOLE, disable=not shown):
                if not server.pids():
                    pool.shutdown(cancel_futures=True)
                    report.faults[part[-1]] = f"the process ended: {server.log_tail()}"
                    return report
            time.sleep(REST_S)
            report.warm_bytes = report.warm_bytes or resident_bytes(server)
    report.last_bytes = resident_bytes(server)
    return report


def resident_bytes(server: Server) -> int:
    """Resident memory of the service."""
    pages = (Path(f"/proc/{pid}/statm").read_text().split()[1] for pid in server.pids())
    return sum(map(int, pages)) * resource.getpagesize()


def table(report: Report) -> Table:
    """Answers by status and problem type, and by what was damaged."""
    kinds = sorted({kind for _, kind in report.outcomes})
    made = Table("answer", *kinds, "all", box=box.SIMPLE_HEAD)
    for answer in sorted({answer for answer, _ in report.outcomes}):
        counts = [report.outcomes[answer, kind] for kind in kinds]
        made.add_row(answer, *map(str, counts), str(sum(counts)))
    return made


def main(
    requests: Annotated[int, typer.Option(min=3, help="How many to send.")] = 30_000,
    seed: Annotated[int, typer.Option(help="Which of all possible runs.")] = 0,
    only: Annotated[int | None, typer.Option(help="Send only the case of this number.")] = None,
    store: Annotated[Path, typer.Option(help="Folder of the model.")] = Path("models/store"),
    model: Annotated[str, typer.Option(help="The model to ask.")] = "mobilenet_v2_1.0_224",
) -> None:
    """Send hostile requests to a service that this command starts and ends."""
    if only is not None:
        CONSOLE.print(save(seed, only), highlight=False)
    numbers = range(requests) if only is None else range(only, only + 1)
    with TemporaryDirectory() as folder:
        with start_gateway(store, model, Path(folder) / "log.txt") as server:
            report = fuzz(server, seed, numbers, shown=True)
        log = (Path(folder) / "log.txt").read_text("utf-8", "replace")
    print_report(report, log)
    if any(report.failures()) or "Traceback" in log:
        raise typer.Exit(1)


def print_report(report: Report, log: str) -> None:
    console = Console()
    console.print(table(report))
    console.print(
        f"{report.outcomes.total()} requests of seed {report.seed}; resident memory "
        f"{report.warm_bytes / 1e6:.1f} MB warm, {report.last_bytes / 1e6:.1f} MB at the end "
        f"({report.growth:+.1%})"
    )
    for number in sorted(report.faults):
        console.print(f"saved {save(report.seed, number)}", highlight=False)
    for failure in report.failures():
        console.print(f"[red]{failure}[/red]", highlight=False)
    if "Traceback" in log:
        console.print(log[-3000:], markup=False, highlight=False)


def save(seed: int, number: int) -> Path:
    """Write the bytes of a case to a file."""
    path = FAULTS / f"{seed}-{number}.http"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(make_case(seed, number).request)
    return path


if __name__ == "__main__":
    typer.run(main)
