"""Progress of long tasks, reported through a callback."""

from collections.abc import Callable
from dataclasses import dataclass, field

# Called with the name of the task, the amount done and the total amount.
Progress = Callable[[str, int, int], None]


def no_progress(task: str, done: int, total: int) -> None:
    """Ignore progress."""


@dataclass(slots=True)
class StepCounter:
    """Reports one more step of a task with every call."""

    report: Progress
    task: str
    total: int
    done: int = field(default=0, init=False)

    def __call__(self) -> None:
        self.done += 1
        self.report(self.task, self.done, self.total)
