"""How many images to send at once."""

from collections.abc import Sequence
from dataclasses import dataclass

from mobilenet_gateway_client._results import Info

GROUP_IMAGES = 8  # enough to make the cost of a request small beside that of its images


@dataclass(frozen=True, slots=True)
class Pace:
    """Concurrent requests that keep every worker busy, and images in each request."""

    requests: int
    images: int


def check_concurrency(requests: int | None) -> int | None:
    """The given number of concurrent requests; None leaves it to `pace`.

    Raises:
        ValueError: less than one.
    """
    if requests is not None and requests < 1:
        raise ValueError(f"concurrency is {requests}. It must be at least 1.")
    return requests


def pace(gateways: Sequence[Info], requests: int | None = None) -> Pace:
    """One request more than each gateway has workers, filling at most half of its queue."""
    concurrency, images = 0, GROUP_IMAGES
    for gateway in gateways:
        half_queue = max(1, int(gateway.settings.get("queue_limit", GROUP_IMAGES)) // 2)
        max_images = int(gateway.settings.get("max_images", 1))
        share = -(-requests // len(gateways)) if requests else min(gateway.workers + 1, half_queue)
        concurrency += share
        images = min(images, max_images, half_queue // share)
    return Pace(requests or concurrency, max(1, images))
