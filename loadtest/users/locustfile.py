"""Users as a gateway has them: cameras at a fixed rate, phones in bursts, a dashboard that polls.

    make locust         Locust's page at http://127.0.0.1:8089, against a service that runs already
    make locust-check   a minute without the page, against a service of its own; CI runs this

Locust ends with status 1 unless all of this holds:

- every answer is right: a status of 200 with labels, or a 503 with Retry-After
- 503s are at most `--max-refused-percent` of the requests for labels
- 95 of 100 answers with labels came within `--max-p95-ms`
- every kind of user was answered
"""

import random
import time
from argparse import ArgumentParser
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from locust import FastHttpUser, between, constant_pacing, constant_throughput, events, task
from locust.env import Environment

from loadtest.load.body import BOUNDARY
from loadtest.load.photos import prepare_photos

JPEG = {"Content-Type": "image/jpeg"}
FORM = {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}
CAMERA, PHONE = "camera: POST /predict", "phone: POST /predict"
DASHBOARD = ("dashboard: GET /models", "dashboard: GET /models/frontier", "dashboard: GET /metrics")
MIN_RETRY_S = 0.1
LABELS: list[str] = [CAMERA, PHONE]
photos: dict[str, bytes] = {}  # by size, the same for all users
refused: dict[str, int] = {}  # 503s by name


def add_options(parser: ArgumentParser) -> None:
    parser.add_argument("--max-refused-percent", type=float, default=5.0)
    parser.add_argument("--max-p95-ms", type=float, default=1000.0)


def read_photos(**_: Any) -> None:
    with TemporaryDirectory() as folder:
        photos.update((one.name, one.path.read_bytes()) for one in prepare_photos(Path(folder)))


def forget_refusals(**_: Any) -> None:
    refused.clear()


class GatewayUser(FastHttpUser):
    """Sends images; a refusal is an answer too, and is waited out."""

    abstract = True
    network_timeout = 30.0

    def predict(self, name: str, body: Any, headers: dict[str, str], images: int) -> None:
        """Ask for labels once."""
        asked: AbstractContextManager[Any] = self.client.post(
            "/predict?top_k=3", data=body, headers=headers, name=name, catch_response=True
        )
        with asked as answer:
            if answer.status_code == 503:
                retry_after = answer.headers.get("Retry-After")
                if retry_after is None:
                    answer.failure("a 503 without Retry-After")
                    return
                refused[name] = refused.get(name, 0) + 1
                answer.success()
                time.sleep(max(MIN_RETRY_S, float(retry_after)))  # only this user does, with gevent
                return
            if answer.status_code != 200:
                answer.failure(f"status {answer.status_code}: {(answer.text or '')[:200]}")
                return
            results = answer.json()["results"]
            if len(results) != images or not all(one["predictions"] for one in results):
                answer.failure(f"{images} images, but not as many with labels")


class Camera(GatewayUser):
    """A camera with something to show every half second, whether the last answer came or not."""

    weight = 6
    wait_time = constant_throughput(2)

    @task
    def frame(self) -> None:
        self.predict(CAMERA, photos["720p"], JPEG, 1)


class Phone(GatewayUser):
    """Somebody who sends the photos of the last minutes in one go, and then none for a while."""

    weight = 3
    wait_time = between(2, 8)

    @task
    def burst(self) -> None:
        images = random.randint(2, 6)  # noqa: S311  no secret
        body = form([photos["1080p"]] * images)
        self.predict(PHONE, body, FORM, images)


class Dashboard(FastHttpUser):
    """A screen in the corridor."""

    fixed_count = 1
    wait_time = constant_pacing(5)

    @task
    def poll(self) -> None:
        for name in DASHBOARD:
            self.client.get(name.rpartition(" ")[2], name=name)


def form(images: list[bytes]) -> bytes:
    """A form with several photos."""
    parts = []
    for number, image in enumerate(images):
        head = f'Content-Disposition: form-data; name="{number}"; filename="{number}.jpg"'
        parts += [f"--{BOUNDARY}\r\n{head}\r\n\r\n".encode(), image, b"\r\n"]
    return b"".join([*parts, f"--{BOUNDARY}--\r\n".encode()])


def judge(environment: Environment, **_: Any) -> None:
    """Say whether the service passed, and make it the exit status."""
    options: Any = environment.parsed_options
    if not options.headless:  # on the page people judge for themselves
        return
    shortcomings = find_shortcomings(
        environment.stats.get, options.max_refused_percent, options.max_p95_ms
    )
    for shortcoming in shortcomings:
        print(f"not passed: {shortcoming}")
    if not shortcomings:
        print("passed")
    environment.process_exit_code = int(bool(shortcomings))


def find_shortcomings(
    stats: Callable[[str, str], Any], max_refused_percent: float, max_p95_ms: float
) -> list[str]:
    """What was promised and did not hold."""
    found = []
    labels = [stats(name, "POST") for name in LABELS]
    for one in (*labels, *(stats(name, "GET") for name in DASHBOARD)):
        if one.num_failures:
            found.append(f"{one.name}: {one.num_failures} of {one.num_requests} failed")
        if not one.num_requests - one.num_failures - refused.get(one.name, 0):
            found.append(f"{one.name}: not answered once")
        elif one in labels and (p95_ms := one.get_response_time_percentile(0.95)) > max_p95_ms:
            found.append(f"{one.name}: p95 is {p95_ms:.0f} ms, allowed are {max_p95_ms:g} ms")
    requests = sum(one.num_requests for one in labels)
    if requests and 100 * sum(refused.values()) / requests > max_refused_percent:
        share = f"{sum(refused.values())} of {requests}"
        found.append(f"{share} requests were refused, allowed are {max_refused_percent:g} %")
    return found


events.init_command_line_parser.add_listener(add_options)
events.init.add_listener(read_photos)
events.test_start.add_listener(forget_refusals)
events.quitting.add_listener(judge)
