"""When to repeat a request, and how long to wait before."""

import random
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Retry:
    """How long to retry while the gateway is overloaded, restarting or unreachable.

    Waits double from `first_s` to `longest_s`, each shortened at random by up to half, so that many
    clients do not return at once. No wait is shorter than `Retry-After`. A call fails if the next
    wait would end later than `patience_s` after its start; 0 disables retries.
    """

    patience_s: float = 30.0
    first_s: float = 0.1
    longest_s: float = 5.0

    def wait_s(self, failures: int, retry_after_s: float, spent_s: float) -> float | None:
        """The wait after this many failures, or None to give up."""
        grown_s = min(self.longest_s, self.first_s * 2.0 ** min(failures - 1, 30))
        wait_s = grown_s * random.uniform(0.5, 1)  # noqa: S311  not a secret
        if retry_after_s > 0:  # the gateway gives all clients that it rejects now the same time
            wait_s = retry_after_s + wait_s / 2
        return wait_s if spent_s + wait_s <= self.patience_s else None


NO_RETRY = Retry(patience_s=0)


def retry_after_s(header: str | None) -> float:
    """The seconds of a Retry-After header; 0 without one, and for a date."""
    try:
        return max(0.0, float(header or 0))
    except ValueError:
        return 0.0
