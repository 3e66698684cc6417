"""The helper process: decodes one image after another, within limits that the kernel keeps.

Run as `python -P -m app.images.helper_main LIMITS`, with JSON, by `app.images.helper_process`.
Imports Pillow and the decoder and nothing else that is large. Ends when its standard input ends,
and is killed with the service.
"""

import gc
import json
import os
import resource
import signal
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from math import ceil
from pathlib import Path
from typing import BinaryIO, NamedTuple

from app.errors import OutOfMemory, RequestError, TooManyPixels
from app.images import pillow_settings
from app.images.decode import decode_square
from app.images.decode_memory import DecodeMemory
from app.images.helper_protocol import JOB, READY, pack_error, pack_square, unpack_job
from app.images.limits import BeyondBounds, ImageLimits
from app.images.shared_file import MappedMemory
from app.system.memory import map_large_blocks
from app.system.parent import end_with_parent

NICENESS = 10
# The memory of pixels is kept from image to image while the process lives: fetching 8 MB anew for
# each photo in full HD takes 7 ms. Not more than the service allows besides file and pixels.
REUSED_BYTES = 16 * 2**20
FILES = 16  # open at once


def main() -> None:
    """Serve jobs from standard input until it ends."""
    given = json.loads(sys.argv[1])
    end_with_parent(given["parent"])
    yield_to_the_service()
    pillow_settings.configure()
    map_large_blocks(REUSED_BYTES)
    limit_process(given["address_bytes"])
    limits = ImageLimits(given["max_pixels"], given["min_side"])
    memory = DecodeMemory(given["memory_bytes"])
    gc.freeze()
    sys.stdout.buffer.write(READY)
    sys.stdout.buffer.flush()
    shared = [MappedMemory(descriptor, given["file_bytes"]) for descriptor in given["shared"]]
    source, sink = Source(sys.stdin.buffer, *shared), sys.stdout.buffer
    while answer_one(source, sink, limits, memory, given["cpu_s"]):
        pass


def yield_to_the_service() -> None:
    """Run at low priority, die first when memory is short, and leave the signals to the service.

    A stop signal goes to all processes of a terminal or a systemd unit, and the service still
    answers what it has accepted.
    """
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    with suppress(OSError):
        os.nice(NICENESS)
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000", "ascii")


def limit_process(address_bytes: int) -> None:
    """Allow so much more memory than now, no new files and no core dump."""
    mapped = int(Path("/proc/self/statm").read_text("ascii").split()[0])
    limit_bytes = mapped * resource.getpagesize() + address_bytes
    for kind, limit in (
        (resource.RLIMIT_AS, limit_bytes),
        (resource.RLIMIT_NOFILE, FILES),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_CORE, 0),
    ):
        resource.setrlimit(kind, (limit, limit))


class Source(NamedTuple):
    """Where the jobs come from, and their files."""

    pipe: BinaryIO
    shared: MappedMemory | None = None  # where the system has it

    def file(self, size: int, *, is_shared: bool) -> AbstractContextManager[bytes]:
        """Open the file of a job."""
        if self.shared is not None:
            if is_shared:
                return self.shared.file(size, self._wait_for_piece)
            self.shared.unmap()
        return nullcontext(self.pipe.read(size))

    def _wait_for_piece(self) -> None:
        if not self.pipe.read(1):
            sys.exit()  # the service has ended


def answer_one(
    source: Source, sink: BinaryIO, limits: ImageLimits, memory: DecodeMemory, cpu_s: float
) -> bool:
    """Answer the next job; False if there is none."""
    head = source.pipe.read(JOB.size)
    if len(head) < JOB.size:
        return False
    file_bytes, is_shared, job = unpack_job(head)
    with limited_time(cpu_s):
        try:
            with source.file(file_bytes, is_shared=is_shared) as data:
                if len(data) < file_bytes:
                    return False
                square = decode_square(
                    data, job.resolution, job, limits,
                    reduced_decode=job.reduced_decode, memory=memory,
                )  # fmt: skip
            answer = pack_square(square.pixels, square.warnings)
        except RequestError as error:
            answer = pack_error(error)
        except BeyondBounds:
            answer = pack_error(
                TooManyPixels(
                    "Decoding this image may take more memory than the limit of "
                    f"{memory.limit_bytes} bytes (helper_memory_bytes)."
                )
            )
        except (MemoryError, OSError):  # the latter if the shared memory cannot be mapped
            answer = pack_error(OutOfMemory("Not enough memory to receive the image."))
    sink.write(answer)
    sink.flush()
    return True


@contextmanager
def limited_time(cpu_s: float) -> Iterator[None]:
    """Let the kernel kill this process after so much processor time.

    The timer counts ticks of 1 to 4 ms. RLIMIT_CPU counts seconds since the start of the process;
    it would end a process that had lost its timer.
    """
    usage = resource.getrusage(resource.RUSAGE_SELF)
    used_s = usage.ru_utime + usage.ru_stime
    _, most = resource.getrlimit(resource.RLIMIT_CPU)
    resource.setrlimit(resource.RLIMIT_CPU, (ceil(used_s + cpu_s) + 1, most))
    signal.setitimer(signal.ITIMER_PROF, cpu_s)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)


if __name__ == "__main__":
    main()
