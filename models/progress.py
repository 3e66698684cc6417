"""The callback through which long tasks report their progress."""

from collections.abc import Callable

# Called with the name of the task, the amount done and the total amount.
Progress = Callable[[str, int, int], None]


def no_progress(task: str, done: int, total: int) -> None:
    """Ignore progress."""
