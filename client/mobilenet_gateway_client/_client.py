"""The client for programs that wait for their answers."""

import ssl
import threading
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from itertools import islice
from typing import Any, Self, TypeVar, overload

import httpx

from mobilenet_gateway_client import _calls as calls
from mobilenet_gateway_client._calls import Options, Send, Steps, Wait
from mobilenet_gateway_client._errors import Closed
from mobilenet_gateway_client._images import Several, Source
from mobilenet_gateway_client._results import Classification, Info, LayerTable, Model
from mobilenet_gateway_client._retry import Retry
from mobilenet_gateway_client._transport import DEFAULT_URL, TIMEOUT_S, open_http

T = TypeVar("T")
S = TypeVar("S", bound=Source)


class Client:
    """A gateway, asked by any number of threads; use it as a context manager or `close` it.

        with Client("http://gateway:8000") as client:
            client.classify("cat.jpg").label

    `concurrency` is how many requests several images are spread over at once; None takes one more
    than the gateway has workers. `timeout_s` bounds each answer, `retry` all attempts together.

    Raises:
        ValueError: the address is not one of HTTP, the key is malformed, `concurrency` is less than
            1, or the environment names a proxy or certificates that cannot be used.
    """

    def __init__(
        self,
        url: str = DEFAULT_URL,
        *,
        api_key: str | None = None,
        retry: Retry | None = None,
        timeout_s: float = TIMEOUT_S,
        concurrency: int | None = None,
        verify: ssl.SSLContext | bool = True,
    ) -> None:
        self._http = open_http(httpx.Client, url, api_key, timeout_s, verify)
        self._retry = retry or Retry()
        self._concurrency = calls.at_least_one(concurrency)
        self._closing = threading.Event()
        self._overs: set[threading.Event] = set()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def stop_retrying(self) -> None:
        """Let calls that wait for another attempt end with `Closed`; what was sent is answered."""
        for over in (self._closing, *self._overs):
            over.set()

    def close(self) -> None:
        """Close all connections; calls that wait for another attempt end with `Closed`."""
        self.stop_retrying()
        self._http.close()

    @overload
    def classify(
        self,
        images: Several,
        *,
        model: str | None = None,
        resolution: int | None = None,
        top_k: int | None = None,
        deadline_ms: float | None = None,
        budget: Mapping[str, float] | None = None,
    ) -> list[Classification]: ...

    @overload
    def classify(
        self,
        images: Source,
        *,
        model: str | None = None,
        resolution: int | None = None,
        top_k: int | None = None,
        deadline_ms: float | None = None,
        budget: Mapping[str, float] | None = None,
    ) -> Classification: ...

    def classify(
        self,
        images: Source | Several,
        *,
        model: str | None = None,
        resolution: int | None = None,
        top_k: int | None = None,
        deadline_ms: float | None = None,
        budget: Mapping[str, float] | None = None,
    ) -> Classification | list[Classification]:
        """Classify one image, or a list of them in its order.

        `budget` has limits for `model="auto"`, such as `{"max_latency_ms": 20}`. With a list, an
        image that cannot be classified has its error in its place.

        Raises:
            ClientError: this one image, or all, cannot be classified.
        """
        options = Options(model, resolution, top_k, deadline_ms, budget or {})
        if not isinstance(images, list | tuple):
            return self._run(calls.classify_one(images, options, self._retry))
        order = range(len(images))
        found = dict(self._classify_each(order, images.__getitem__, options))
        return [found[index] for index in order]

    def classify_each(
        self, images: Iterable[S], options: Options | None = None
    ) -> Generator[tuple[S, Classification], None, None]:
        """Classify a stream of images of any length; each comes with its answer, as answered.

        Takes from `images` only as fast as it is answered. Closing the iterator, or an exception,
        waits for what was sent, but not for another attempt.

        Raises:
            ClientError: none of them can be classified: the gateway is away, a key is wrong.
        """
        yield from self._classify_each(images, lambda image: image, options or Options())

    def models(self) -> list[Model]:
        """The loaded models and their cost."""
        return self._run(calls.models(self._retry))

    def layers(self, model: str, resolution: int | None = None) -> LayerTable:
        """The cost of every layer of a model, at its trained resolution or another.

        Raises:
            UnknownModel: no loaded model has that name.
        """
        return self._run(calls.layers(model, resolution, self._retry))

    def info(self) -> Info:
        """What the gateway is made of, and its limits."""
        return self._run(calls.info(self._retry))

    def _classify_each(
        self, items: Iterable[T], source: Callable[[T], Source], options: Options
    ) -> Iterator[tuple[T, Classification]]:
        pace = calls.pace(self.info(), self._concurrency)
        waiting: dict[Future[list[Classification]], list[T]] = {}
        remaining = iter(items)
        failure: BaseException | None = None
        with ThreadPoolExecutor(pace.requests, "classify") as pool, self._over() as over:
            while True:
                while len(waiting) < pace.requests and (
                    group := list(islice(remaining, pace.images))
                ):
                    steps = calls.classify_group([*map(source, group)], options, self._retry)
                    waiting[pool.submit(self._run, steps, over)] = group
                if not waiting:
                    break
                for done in wait(waiting, return_when=FIRST_COMPLETED).done:
                    group = waiting.pop(done)
                    if error := done.exception():  # what the others have found is not lost
                        failure = failure or error
                        remaining = iter(())
                        over.set()
                        continue
                    yield from zip(group, done.result(), strict=True)
        if failure:
            raise failure

    @contextmanager
    def _over(self) -> Iterator[threading.Event]:
        """An event that ends waiting for other attempts, set at the end of the block."""
        over = threading.Event()
        self._overs.add(over)
        try:
            yield over
        finally:
            over.set()
            self._overs.discard(over)

    def _run(self, steps: Steps[T], over: threading.Event | None = None) -> T:
        """Do what a conversation asks for, until it ends."""
        answer: Any = None
        try:
            while True:
                step = steps.send(answer)
                if isinstance(step, Send):
                    answer = self._send(step)
                elif isinstance(step, Wait):
                    self._wait(step.seconds, over or self._closing)
                    answer = None
                else:
                    answer = step.call()
        except StopIteration as end:
            found: T = end.value
            return found

    def _send(self, step: Send) -> httpx.Response | httpx.TransportError:
        if self._http.is_closed:
            raise Closed("the client is closed")
        try:
            return self._http.request(
                step.method,
                step.path,
                params=step.query,
                headers=step.headers,
                content=step.content or None,
            )
        except httpx.TransportError as error:
            return error

    def _wait(self, seconds: float, over: threading.Event) -> None:
        if over.wait(seconds):
            raise Closed("closed before the gateway could be asked again")
