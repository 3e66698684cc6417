"""`make fuzz`: thousands of malformed requests, which the service must survive.

The run fails on a status of 500 or more, an answer that takes more than 5 s, an error that is not a
problem document, a service that has exited, and memory that grows by more than a tenth after the
warm-up.
"""

import resource
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Lock
from typing import Annotated

import typer
from rich import box
from rich.console import Console
from rich.progress import track
from rich.table import Table

from loadtest.host.gateway import start_gateway
from loadtest.host.model_store import LARGEST, STORE
from loadtest.host.server import Server
from loadtest.report import RESULTS
from loadtest.robustness.fuzz_cases import make_case, valid_cases
from loadtest.robustness.raw_client import RawClient

CONNECTIONS = 4  # far below the queue limit, so that a 503 is a fault too
MAX_WARM_UP = 3000  # requests
SETTLE_S = 3.0  # the service returns freed memory within this time
MAX_GROWTH = 0.10
FAULTS = RESULTS / "fuzz"
CONSOLE = Console(stderr=True)


@dataclass(slots=True)
class FuzzResult:
    """The outcomes of all cases, and the resident memory after the warm-up and at the end."""

    seed: int
    outcomes: Counter[tuple[str, str]] = field(default_factory=Counter)  # by answer and kind
    faults: dict[int, str] = field(default_factory=dict)  # by number of the case
    warm_bytes: int = 0
    last_bytes: int = 0

    @property
    def growth(self) -> float:
        return self.last_bytes / self.warm_bytes - 1 if self.last_bytes else 0.0

    def failures(self) -> Iterator[str]:
        for number, fault in sorted(self.faults.items()):
            yield (
                f"case {number}: {fault}; "
                f"replay with python -m loadtest.robustness.fuzz --seed {self.seed} --only {number}"
            )
        if self.growth > MAX_GROWTH:
            yield f"memory grew by {self.growth:.1%} after the warm-up"


def fuzz(server: Server, seed: int, numbers: range, *, show_progress: bool) -> FuzzResult:
    """Send the cases with these numbers; the first third, at most 3000, is part of the warm-up."""
    result, client, lock = FuzzResult(seed), RawClient(server.port), Lock()

    def send(number: int) -> None:
        outcome = client.send(make_case(seed, number))
        with lock:
            result.outcomes[outcome.answer, outcome.kind] += 1
            if outcome.fault:
                result.faults[number] = outcome.fault

    warm_up = min(len(numbers) // 3, MAX_WARM_UP)
    with ThreadPoolExecutor(CONNECTIONS) as pool, closing(client):
        list(pool.map(client.send, valid_cases() * CONNECTIONS))
        for part, what in ((numbers[:warm_up], "warming up"), (numbers[warm_up:], "fuzzing")):
            sent = pool.map(send, part)
            for _ in track(sent, what, len(part), console=CONSOLE, disable=not show_progress):
                if not server.pids():
                    pool.shutdown(cancel_futures=True)
                    result.faults[part[-1]] = f"the service has exited: {server.log_tail()}"
                    return result
            time.sleep(SETTLE_S)
            result.warm_bytes = result.warm_bytes or resident_bytes(server)
    result.last_bytes = resident_bytes(server)
    return result


def resident_bytes(server: Server) -> int:
    pages = (Path(f"/proc/{pid}/statm").read_text().split()[1] for pid in server.pids())
    return sum(map(int, pages)) * resource.getpagesize()


def main(
    requests: Annotated[int, typer.Option(min=3, help="Number of requests.")] = 30_000,
    seed: Annotated[int, typer.Option(help="Seed of the random cases.")] = 0,
    only: Annotated[int | None, typer.Option(help="Send only the case of this number.")] = None,
    store: Annotated[Path, typer.Option(help="Folder of the model.")] = STORE,
    model: Annotated[str, typer.Option(help="The model to serve.")] = LARGEST,
) -> None:
    """Send malformed requests to a service that this command starts and stops."""
    if only is not None:
        CONSOLE.print(save_case(seed, only), highlight=False)
    numbers = range(requests) if only is None else range(only, only + 1)
    with TemporaryDirectory() as folder:
        log_file = Path(folder) / "server.log"
        with start_gateway(store, model, log_file) as server:
            result = fuzz(server, seed, numbers, show_progress=True)
        log = log_file.read_text("utf-8", "replace")
    print_result(result, log)
    if any(result.failures()) or "Traceback" in log:
        raise typer.Exit(1)


def print_result(result: FuzzResult, log: str) -> None:
    console = Console()
    console.print(outcome_table(result))
    console.print(
        f"{result.outcomes.total()} requests with seed {result.seed}; resident memory "
        f"{result.warm_bytes / 1e6:.1f} MB after the warm-up, {result.last_bytes / 1e6:.1f} MB at "
        f"the end ({result.growth:+.1%})"
    )
    for number in sorted(result.faults):
        console.print(f"saved {save_case(result.seed, number)}", highlight=False)
    for failure in result.failures():
        console.print(f"[red]{failure}[/red]", highlight=False)
    if "Traceback" in log:
        console.print(log[-3000:], markup=False, highlight=False)


def outcome_table(result: FuzzResult) -> Table:
    """Count the answers by status and problem type, and by kind of case."""
    kinds = sorted({kind for _, kind in result.outcomes})
    table = Table("answer", *kinds, "all", box=box.SIMPLE_HEAD)
    for answer in sorted({answer for answer, _ in result.outcomes}):
        counts = [result.outcomes[answer, kind] for kind in kinds]
        table.add_row(answer, *map(str, counts), str(sum(counts)))
    return table


def save_case(seed: int, number: int) -> Path:
    path = FAULTS / f"{seed}-{number}.http"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(make_case(seed, number).request)
    return path


if __name__ == "__main__":
    typer.run(main)
