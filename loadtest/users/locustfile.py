"""Typical users of a gateway: cameras at a fixed rate, phones in bursts, a polling dashboard.

    make locust         Locust's page at http://127.0.0.1:8089, against a running service
    make locust-check   half a minute without the page, against a new service; CI runs this

Locust exits with status 1 unless all of these hold:

- every answer is correct: status 200 with labels, or status 503 with Retry-After
- at most `--max-refused-percent` of the prediction requests got a 503
- the p95 of prediction requests is at most `--max-p95-ms`
- every kind of user got an answer
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

from loadtest.load.body import multipart
from loadtest.load.photos import prepare_photos

CAMERA, PHONE = "camera: POST /predict", "phone: POST /predict"
DASHBOARD = ("dashboard: GET /models", "dashboard: GET /models/frontier", "dashboard: GET /metrics")
MIN_RETRY_S = 0.1
photos: dict[str, bytes] = {}  # by name, the same for all users
rejected: dict[str, int] = {}  # 503s by name of the request


def add_options(parser: ArgumentParser) -> None:
    parser.add_argument("--max-refused-percent", type=float, default=5.0)
    parser.add_argument("--max-p95-ms", type=float, default=1000.0)


def read_photos(**_: Any) -> None:
    with TemporaryDirectory() as folder:
        for name, photo in prepare_photos(Path(folder)).items():
            photos[name] = photo.read_bytes()


def reset_rejected(**_: Any) -> None:
    rejected.clear()


class GatewayUser(FastHttpUser):
    """Sends images; after a 503 it waits for the time in Retry-After."""

    abstract = True
    network_timeout = 30.0

    def predict(self, name: str, body: Any, content_type: str, images: int) -> None:
        request: AbstractContextManager[Any] = self.client.post(
            "/predict?top_k=3",
            data=body,
            headers={"Content-Type": content_type},
            name=name,
            catch_response=True,
        )
        with request as answer:
            if answer.status_code == 503:
                retry_after = answer.headers.get("Retry-After")
                if retry_after is None:
                    answer.failure("a 503 without Retry-After")
                    return
                rejected[name] = rejected.get(name, 0) + 1
                answer.success()
                # with gevent, only this user waits
                time.sleep(max(MIN_RETRY_S, float(retry_after)))
                return
            if answer.status_code != 200:
                answer.failure(f"status {answer.status_code}: {(answer.text or '')[:200]}")
                return
            results = answer.json()["results"]
            if len(results) != images or not all(each["predictions"] for each in results):
                answer.failure(f"{images} images sent, but fewer results with labels")


class Camera(GatewayUser):
    weight = 6
    wait_time = constant_throughput(2)

    @task
    def frame(self) -> None:
        self.predict(CAMERA, photos["720p"], "image/jpeg", 1)


class Phone(GatewayUser):
    weight = 3
    wait_time = between(2, 8)

    @task
    def burst(self) -> None:
        images = random.randint(2, 6)  # noqa: S311  not a secret
        form = multipart(*[photos["1080p"]] * images)
        self.predict(PHONE, form.data, form.content_type, images)


class Dashboard(FastHttpUser):
    fixed_count = 1
    wait_time = constant_pacing(5)

    @task
    def poll(self) -> None:
        for name in DASHBOARD:
            self.client.get(name.rpartition(" ")[2], name=name)


def judge(environment: Environment, **_: Any) -> None:
    """Print whether the service passed, and set the exit status."""
    options: Any = environment.parsed_options
    if not options.headless:  # on the page, users judge the figures themselves
        return
    failures = find_failures(environment.stats.get, options.max_refused_percent, options.max_p95_ms)
    for failure in failures:
        print(f"not passed: {failure}")
    if not failures:
        print("passed")
    environment.process_exit_code = int(bool(failures))


def find_failures(
    stats: Callable[[str, str], Any], max_refused_percent: float, max_p95_ms: float
) -> list[str]:
    """Return the conditions that do not hold."""
    found = []
    predictions = [stats(name, "POST") for name in (CAMERA, PHONE)]
    for entry in (*predictions, *(stats(name, "GET") for name in DASHBOARD)):
        if entry.num_failures:
            found.append(f"{entry.name}: {entry.num_failures} of {entry.num_requests} failed")
        if not entry.num_requests - entry.num_failures - rejected.get(entry.name, 0):
            found.append(f"{entry.name}: no answer")
        elif entry in predictions:
            p95_ms = float(entry.get_response_time_percentile(0.95))
            if p95_ms > max_p95_ms:
                limit = f"the maximum is {max_p95_ms:g} ms"
                found.append(f"{entry.name}: p95 is {p95_ms:.0f} ms, {limit}")
    requests = sum(entry.num_requests for entry in predictions)
    if requests and 100 * sum(rejected.values()) / requests > max_refused_percent:
        share = f"{sum(rejected.values())} of {requests}"
        found.append(f"{share} requests were rejected, the maximum is {max_refused_percent:g} %")
    return found


events.init_command_line_parser.add_listener(add_options)
events.init.add_listener(read_photos)
events.test_start.add_listener(reset_rejected)
events.quitting.add_listener(judge)
