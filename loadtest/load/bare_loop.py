"""The bare loop: decode, resize, infer and rank on plain threads, without a server.

`python -m loadtest.load.bare_loop MODEL_FILE` loads the model, reads lines of JSON such as
`{"photo": PATH, "threads": N, "seconds": S}` and answers each with a line of JSON. It is a process
of its own, like the server that it is compared with.
"""

import dataclasses
import json
import statistics
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Self, cast

if TYPE_CHECKING:
    from app.model.model import Model

TOP_K = 5  # the default of a request


@dataclass(frozen=True, slots=True)
class BareRun:
    """One run of the loop; `p50_ms` is the time for one image on its thread."""

    images: int
    seconds: float
    p50_ms: float
    cpu_s: float

    @property
    def images_per_s(self) -> float:
        return self.images / self.seconds


class BareLoop:
    """The loop in its own process, idle between runs; use it as a context manager."""

    def __init__(self, model: Path) -> None:
        command = [sys.executable, "-m", "loadtest.load.bare_loop", str(model)]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.communicate()

    def run(self, photo: Path, threads: int, seconds: float) -> BareRun:
        request = {"photo": str(photo), "threads": threads, "seconds": seconds}
        print(json.dumps(request), file=self._process.stdin, flush=True)
        answer = cast(IO[str], self._process.stdout).readline()
        if not answer:
            raise RuntimeError(f"the bare loop exited with status {self._process.wait()}")
        return BareRun(**json.loads(answer))


def run_bare(model: "Model", data: bytes, threads: int, seconds: float) -> BareRun:
    """Classify the same image repeatedly on a number of threads."""
    started, cpu_started = time.perf_counter(), time.process_time()
    with ThreadPoolExecutor(threads) as pool:
        loops = [pool.submit(_loop, model, data, started + seconds) for _ in range(threads)]
        times_s = [took_s for loop in loops for took_s in loop.result()]
    return BareRun(
        images=len(times_s),
        seconds=time.perf_counter() - started,
        p50_ms=statistics.median(times_s) * 1000,
        cpu_s=time.process_time() - cpu_started,
    )


def _loop(model: "Model", data: bytes, stop_at: float) -> list[float]:
    """Return the seconds for each image until `stop_at`, at least one."""
    from app.images.limits import ImageLimits
    from app.inference.classify import Classifier
    from app.settings import Settings

    settings = Settings()
    classifier = Classifier(ImageLimits.from_settings(settings), settings.reduced_decode)
    resolution = model.card.resolution
    times_s = []
    before = time.perf_counter()
    while True:
        classifier.classify(data, model=model, resolution=resolution, top_k=TOP_K)
        after = time.perf_counter()
        times_s.append(after - before)
        if after >= stop_at:
            return times_s
        before = after


def main(file: Path) -> None:
    from app.model.model import load_model

    model = load_model(file)
    for line in sys.stdin:
        request = json.loads(line)
        data = Path(request["photo"]).read_bytes()
        run_bare(model, data, 1, 0)  # warm up
        run = run_bare(model, data, request["threads"], request["seconds"])
        print(json.dumps(dataclasses.asdict(run)), flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
