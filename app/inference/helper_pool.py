"""Several helper processes, for programs that decode on all cores without a queue."""

import threading
import weakref
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor

from app.images.helper_process import HelperLimits, HelperProcess
from app.images.helper_protocol import Job
from app.images.limits import ImageLimits
from app.system.available_memory import available_bytes


class HelperPool:
    """A `Helper` for any number of threads; a process is started when all others are busy."""

    def __init__(self, limits: ImageLimits, helper_limits: HelperLimits, workers: int) -> None:
        """One process for each worker at most, as far as memory suffices for all of them."""
        free_bytes = available_bytes()
        fitting = workers if free_bytes is None else free_bytes // helper_limits.memory_bytes
        # A process lives as long as the thread that started it, so these stay and callers may end.
        self._threads = ThreadPoolExecutor(max(1, min(workers, fitting)), "helper")
        self._started: list[HelperProcess] = []
        self._of_thread = threading.local()
        self._limits, self._helper_limits = limits, helper_limits
        weakref.finalize(self, _stop, self._started)  # for owners that do not close it

    def decode(self, data: bytes, job: Job, abandoned: Callable[[], bool]) -> bytes:
        """As `HelperProcess.decode`, after a wait until one of them is free."""
        return self._threads.submit(self._decode, data, job, abandoned).result()

    def stop(self) -> None:
        """End the processes that run; the next image starts them again."""
        _stop(self._started)

    def _decode(self, data: bytes, job: Job, abandoned: Callable[[], bool]) -> bytes:
        process: HelperProcess | None = getattr(self._of_thread, "process", None)
        if process is None:
            process = HelperProcess(self._limits, self._helper_limits)
            self._of_thread.process = process
            self._started.append(process)
        return process.decode(data, job, abandoned)


def _stop(processes: Iterable[HelperProcess]) -> None:
    for process in processes:
        process.stop()
