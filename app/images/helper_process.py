"""The service's side of the helper process, which decodes what its structure does not bound.

The helper is started for the first image and again after it was killed. It is killed when its image
is not wanted any more, when it exceeds its processor time (by the kernel), and when it answers
something that is no answer. `docs/operations.md` says how much memory it may take.
"""

import fcntl
import json
import logging
import os
import select
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from app.errors import DamagedImage, InternalError, OutOfMemory, RequestError, UnsupportedFormat
from app.images.formats import sniff
from app.images.helper_protocol import ANSWER, ERRORS, MAX_TEXT_BYTES, PIXELS, READY, Job
from app.images.limits import ImageLimits
from app.images.shared_file import SharedMemory, shared_memory
from app.system.child_environment import child_environment

log = logging.getLogger(__name__)

LOOK_MS = 25  # how often it looks whether the image is still wanted
END_S = 5.0  # the end of a process takes time on a busy machine, as it has a low priority
READ_BYTES = 2**18
# With 64 kB, both processes take 40 turns for an uncompressed photo and three for its pixels.
PIPE_BYTES = 2**20
SLACK_BYTES = 16 * 2**20  # of address space, for Python and the C library
# Their decoders read a file in pieces; those of the others need all of it as `bytes`.
READ_IN_PLACE = frozenset(("TIFF", "BMP", "GIF"))


@dataclass(frozen=True, slots=True)
class HelperLimits:
    """What the helper process may take for one image."""

    cpu_s: float = 2.0
    memory_bytes: int = 680 * 10**6
    file_bytes: int = 24 * 2**20


class Abandoned(Exception):
    """Nobody waits for the image any more."""


class _Died(Exception):
    """The helper closed its pipes."""


class _NoAnswer(Exception):
    """The helper said something that is no answer."""


class HelperProcess:
    """Decodes one image at a time in another process; `decode` is for one thread."""

    def __init__(self, limits: ImageLimits, helper_limits: HelperLimits) -> None:
        self._cpu_s = helper_limits.cpu_s
        self._arguments = {
            "parent": os.getpid(),
            "max_pixels": limits.max_pixels,
            "min_side": limits.min_side,
            "cpu_s": helper_limits.cpu_s,
            "memory_bytes": helper_limits.memory_bytes,
            "file_bytes": helper_limits.file_bytes,
            "address_bytes": helper_limits.memory_bytes + helper_limits.file_bytes + SLACK_BYTES,
        }
        self._file_bytes = helper_limits.file_bytes
        self._shared: SharedMemory | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._lock = threading.Lock()  # of the two above, for `close` on another thread
        self._closed = False

    @property
    def pid(self) -> int | None:
        """The process, while one runs."""
        process = self._process
        return process.pid if process else None

    def decode(self, data: bytes, job: Job, abandoned: Callable[[], bool]) -> bytes:
        """Return the pixels of the square, RGB, and behind them the warnings, one a line.

        Raises:
            RequestError: the image cannot be decoded within the limits.
            Abandoned: `abandoned()` became true, or the helper was closed.
        """
        process = self._running()
        try:
            if process is None:
                process = self._start(abandoned)
            return _opened_answer(*self._ask(process, data, job, abandoned), job)
        except (_Died, _NoAnswer) as error:
            raise self._cause_of_death(isinstance(error, _Died)) from None
        except Abandoned:
            self.stop()
            raise

    def stop(self) -> None:
        """End the process, if one runs."""
        with self._lock:
            process, self._process = self._process, None
            shared, self._shared = self._shared, None
        if shared is not None:
            shared.close()
        if process is not None:
            process.kill()
            process.wait()
            for pipe in (process.stdin, process.stdout):
                if pipe is not None:
                    with suppress(OSError):  # bytes that it did not read
                        pipe.close()

    def close(self) -> None:
        """End the process for good, on any thread."""
        self._closed = True
        process = self._process
        if process is not None:
            process.kill()  # `decode` sees it; nobody else closes the pipes that it reads

    def _running(self) -> subprocess.Popen[bytes] | None:
        """The process, if it lives; one that died between two images is replaced."""
        if self._process is not None and self._process.poll() is not None:
            self.stop()
        return self._process

    def _start(self, abandoned: Callable[[], bool]) -> subprocess.Popen[bytes]:
        """Start a process and wait until it is ready."""
        with self._lock:
            if self._closed:
                raise Abandoned
            # There is some already if the last start failed.
            self._shared = shared = self._shared or shared_memory(self._file_bytes)
            passed_on = (shared.descriptor,) if shared else ()
            arguments = json.dumps(self._arguments | {"shared": passed_on})
            # subprocess uses vfork: no copy of the service, whose threads would not survive a fork.
            self._process = process = subprocess.Popen(  # noqa: S603  no part is a client's
                [sys.executable, "-P", "-m", "app.images.helper_main", arguments],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,  # libtiff and libjpeg write to it
                bufsize=0,
                pass_fds=passed_on,
                env=child_environment(),  # without secrets: an image may take the helper over
            )
        assert process.stdin is not None  # noqa: S101  PIPE above; for mypy
        assert process.stdout is not None  # noqa: S101  as well
        os.set_blocking(process.stdin.fileno(), False)
        with suppress(OSError):  # a user's pipes may be limited
            fcntl.fcntl(process.stdin, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
            fcntl.fcntl(process.stdout, fcntl.F_SETPIPE_SZ, READ_BYTES)
        try:
            if self._read(process, len(READY), abandoned) == READY:
                return process
        except _Died:
            pass
        self.stop()
        log.error("The helper process did not start: %s -m app.images.helper_main", sys.executable)
        raise InternalError("Images of this kind cannot be decoded now. See the server's log.")

    def _ask(
        self, process: subprocess.Popen[bytes], data: bytes, job: Job, abandoned: Callable[[], bool]
    ) -> tuple[int, bytes]:
        """Send one job and read its answer, the kind and the payload."""
        shared = self._reserved_for(data)
        self._write(process, job.pack(len(data), shared=shared is not None), abandoned)
        if shared is None:
            self._write(process, data, abandoned)
        else:
            try:
                for _ in shared.pieces(data):
                    self._write(process, b"+", abandoned)
            except OSError:
                raise _NoAnswer from None
        kind, size = ANSWER.unpack(self._read(process, ANSWER.size, abandoned))
        if size > MAX_TEXT_BYTES + (job.pixel_bytes if kind == PIXELS else 0):
            raise _NoAnswer
        return kind, self._read(process, size, abandoned)

    def _reserved_for(self, data: bytes) -> SharedMemory | None:
        """The shared memory, if a file has room there and its decoder can read it there."""
        if self._shared is None:
            return None
        if _is_read_in_place(data):
            return self._shared if self._shared.reserve(len(data)) else None
        self._shared.empty()
        return None

    def _write(
        self, process: subprocess.Popen[bytes], data: bytes, abandoned: Callable[[], bool]
    ) -> None:
        assert process.stdin is not None  # noqa: S101  PIPE above; for mypy
        left, ready = memoryview(data), select.poll()
        ready.register(process.stdin, select.POLLOUT)
        while left:
            if not self._ready(ready, abandoned):
                continue
            try:
                left = left[os.write(process.stdin.fileno(), left) :]
            except BlockingIOError:
                continue
            except BrokenPipeError:
                raise _Died from None

    def _read(
        self, process: subprocess.Popen[bytes], size: int, abandoned: Callable[[], bool]
    ) -> bytes:
        assert process.stdout is not None  # noqa: S101  PIPE above; for mypy
        parts, ready = bytearray(), select.poll()
        ready.register(process.stdout, select.POLLIN)
        while len(parts) < size:
            if not self._ready(ready, abandoned):
                continue
            part = os.read(process.stdout.fileno(), min(size - len(parts), READ_BYTES))
            if not part:
                raise _Died
            parts += part
        return bytes(parts)

    def _ready(self, poll: select.poll, abandoned: Callable[[], bool]) -> bool:
        """Wait a moment for a pipe.

        Raises:
            Abandoned: nobody waits for the image any more.
        """
        if self._closed or abandoned():
            raise Abandoned
        return bool(poll.poll(LOOK_MS))

    def _cause_of_death(self, closed_its_pipes: bool) -> RequestError:
        """Bury the process and say what that means for its image."""
        process = self._process
        if self._closed or process is None:
            self.stop()  # killed by `close`, and not yet waited for
            raise Abandoned
        # The kernel closes the pipes of a process first, and then frees its memory. One that lives
        # on has said something that is no answer.
        with suppress(subprocess.TimeoutExpired):
            process.wait(END_S if closed_its_pipes else 0)
        status = process.returncode
        self.stop()
        if status in (-signal.SIGPROF, -signal.SIGXCPU):
            return UnsupportedFormat(
                f"Decoding this image takes longer than the limit of {self._cpu_s:g} s of "
                "processor time (helper_cpu_s). Send it in a simpler form, such as JPEG."
            )
        if status == -signal.SIGKILL:  # by the kernel, for the memory of the machine or container
            log.error("The helper process was killed while it decoded an image.")
            return OutOfMemory(
                "Not enough memory to decode this image right now. "
                "Retry later or send fewer images at once."
            )
        log.warning("The helper process failed on an image; its status is %s.", status)
        return DamagedImage("The image is damaged and does not decode.")


def _is_read_in_place(data: bytes) -> bool:
    try:
        return sniff(data) in READ_IN_PLACE
    except RequestError:
        return False


def _opened_answer(kind: int, payload: bytes, job: Job) -> bytes:
    """The pixels and the warnings.

    Raises:
        RequestError: the answer is an error.
        _NoAnswer: it is none.
    """
    if kind == PIXELS and len(payload) >= job.pixel_bytes:
        return payload
    if 1 <= kind <= len(ERRORS):
        raise ERRORS[kind - 1](payload.decode("utf-8", "replace"))
    raise _NoAnswer
