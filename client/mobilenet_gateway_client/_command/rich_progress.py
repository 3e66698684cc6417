"""Progress as a bar, with Rich."""

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar
from rich.text import Text

from mobilenet_gateway_client._command.progress import Progress


class RichProgress(Progress):
    """A bar on standard error, with images per second and the remaining time."""

    def __init__(self) -> None:
        self._console = Console(stderr=True)
        self._status = self._console.status("")
        self._bar = Bar(
            TextColumn("Classifying"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[rate]}"),
            TimeRemainingColumn(),
            console=self._console,
            transient=True,
        )
        self._task = self._bar.add_task("", total=None, rate="")

    def wait(self, reason: str) -> None:
        self._status.update(Text(reason))
        self._status.start()

    def start(self, images: int, done: int) -> None:
        self._status.stop()
        self._bar.reset(self._task, total=images, completed=done)
        self._bar.start()

    def advance(self) -> None:
        self._bar.advance(self._task)
        speed = self._bar.tasks[0].speed
        self._bar.update(self._task, rate=f"{speed:.0f} images/s" if speed else "")

    def close(self) -> None:
        self._status.stop()
        if self._bar.live.is_started:
            self._bar.stop()

    def restore_terminal(self) -> None:
        self._console.show_cursor()
