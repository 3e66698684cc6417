"""Progress of a run: on a terminal a bar if Rich is installed, else one line; lines in a log."""

import sys
import threading
import time
from typing import Self

REDRAW_S = 0.1
LOG_S = 10.0  # between the lines where there is no terminal


class Progress:
    """Progress that is not shown; base of those that are. Use it as a context manager."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def wait(self, reason: str) -> None:
        """Say what the run is waiting for, until `start`."""

    def start(self, images: int, done: int) -> None:
        """Begin to count: so many images in all, of which some were done before."""

    def advance(self) -> None:
        """Count one image."""

    def close(self) -> None:
        """Remove everything from the terminal."""

    def restore_terminal(self) -> None:
        """Undo changes to the terminal at once, when the process is about to end."""


class LineProgress(Progress):
    """One line on standard error, which is rewritten."""

    def __init__(self) -> None:
        self._width = 0
        self._images = self._done = self._done_before = 0
        self._began = self._drawn = 0.0

    def wait(self, reason: str) -> None:
        self._write(reason)

    def start(self, images: int, done: int) -> None:
        self._images, self._done, self._done_before = images, done, done
        self._began = time.monotonic()
        self._draw()

    def advance(self) -> None:
        self._done += 1
        if time.monotonic() >= self._drawn + REDRAW_S:
            self._draw()

    def close(self) -> None:
        self._write("")
        print(end="\r", file=sys.stderr, flush=True)

    def _draw(self) -> None:
        self._drawn = time.monotonic()
        spent_s = self._drawn - self._began
        rate = (self._done - self._done_before) / spent_s if spent_s else 0.0
        self._write(f"Classifying: {self._done} of {self._images}, {rate:.0f} images/s")

    def _write(self, text: str) -> None:
        """Replace the line; spaces cover the rest of a longer one."""
        print(f"\r{text:{self._width}}", end="", file=sys.stderr, flush=True)
        self._width = len(text)


class LogProgress(Progress):
    """A line on standard error every few seconds, from a thread: a run that waits says so, too."""

    def __init__(self, interval_s: float = LOG_S) -> None:
        self._interval_s = interval_s
        self._text = "Starting"
        self._images = self._done = 0
        self._over = threading.Event()
        threading.Thread(target=self._print_lines, daemon=True).start()

    def wait(self, reason: str) -> None:
        self._text = reason

    def start(self, images: int, done: int) -> None:
        self._images, self._done = images, done
        self._text = ""

    def advance(self) -> None:
        self._done += 1

    def close(self) -> None:
        self._over.set()

    def _print_lines(self) -> None:
        before = self._done
        while not self._over.wait(self._interval_s):
            rate = (self._done - before) / self._interval_s
            before = self._done
            counted = f"Classifying: {self._done} of {self._images}, {rate:.0f} images/s"
            print(self._text or counted, file=sys.stderr, flush=True)


def open_progress() -> Progress:
    """The best progress that standard error can show."""
    if not sys.stderr.isatty():
        return LogProgress()
    try:
        from mobilenet_gateway_client._command.rich_progress import RichProgress
    except ModuleNotFoundError:  # Rich is an extra
        return LineProgress()
    return RichProgress()
