"""The blocking client."""

import ssl
import threading
from array import array
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager, suppress
from itertools import islice
from typing import Any, Self, TypeVar, Unpack, overload

import httpx

from mobilenet_gateway_client import _calls as calls
from mobilenet_gateway_client._errors import Closed, Unavailable, Unreachable
from mobilenet_gateway_client._exchange import Send, Steps, Wait
from mobilenet_gateway_client._images import ImageList, ImageSource
from mobilenet_gateway_client._options import OptionArguments, Options
from mobilenet_gateway_client._pace import check_concurrency, pace
from mobilenet_gateway_client._results import (
    Classification,
    Info,
    LayerTable,
    Model,
    embedding_of,
)
from mobilenet_gateway_client._retry import NO_RETRY, Retry
from mobilenet_gateway_client._servers import Reply, Server, Servers
from mobilenet_gateway_client._teaching.methods import Teaching
from mobilenet_gateway_client._transport import DEFAULT_URL, TIMEOUT_S, open_https

T = TypeVar("T")
S = TypeVar("S", bound=ImageSource)


class Client(Teaching):
    """A client for any number of threads; use it as a context manager or `close` it.

        with Client("http://gateway:8000") as client:
            client.classify("cat.jpg").label

    Several addresses share the requests: the least busy gateway gets the next one, and one that
    fails is left alone for a while, which grows from half a second to half a minute.

    `concurrency` is the number of concurrent requests for several images; None means one more than
    each gateway has workers. `timeout_s` limits each answer, `retry` all attempts together.

    Raises:
        ValueError: the address or the key is malformed, `concurrency` is less than 1, or the
            environment names an unusable proxy or certificate file.
    """

    def __init__(
        self,
        url: str | Sequence[str] = DEFAULT_URL,
        *,
        api_key: str | None = None,
        retry: Retry | None = None,
        timeout_s: float = TIMEOUT_S,
        concurrency: int | None = None,
        verify: ssl.SSLContext | bool = True,
    ) -> None:
        self._servers = Servers(open_https(httpx.Client, url, api_key, timeout_s, verify))
        self._retry = retry or Retry()
        self._concurrency = check_concurrency(concurrency)
        self._closing = threading.Event()
        self._cancels: set[threading.Event] = set()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def stop_retrying(self) -> None:
        """End waits for another attempt with `Closed`; requests in flight are still answered."""
        for cancel in (self._closing, *self._cancels):
            cancel.set()

    def close(self) -> None:
        """Close all connections and end waits for another attempt with `Closed`."""
        self.stop_retrying()
        for server in self._servers.all:
            server.http.close()

    @overload
    def classify(
        self, images: ImageList, **options: Unpack[OptionArguments]
    ) -> list[Classification]: ...

    @overload
    def classify(
        self, images: ImageSource, **options: Unpack[OptionArguments]
    ) -> Classification: ...

    def classify(
        self,
        images: ImageSource | ImageList,
        *,
        model: str | None = None,
        resolution: int | None = None,
        top_k: int | None = None,
        deadline_ms: float | None = None,
        budget: Mapping[str, float] | None = None,
        embedding: bool = False,
        explain: bool = False,
    ) -> Classification | list[Classification]:
        """Classify one image, or a list of images in order.

        `budget` has limits for `model="auto"`, such as `{"max_latency_ms": 20}`. With `embedding`,
        each classification has its embedding; with `explain`, its explanation, as docs/explain.md
        describes it. In a list, the classification of a bad image has its `error`.

        Raises:
            ClientError: the one image, or none of the list, can be classified.
        """
        options = Options(model, resolution, top_k, deadline_ms, budget or {}, embedding, explain)
        if not isinstance(images, list | tuple):
            return self._run(calls.classify_one(images, options, self._retry))
        order = range(len(images))
        found = dict(self._classify_each(order, images.__getitem__, options))
        return [found[index] for index in order]

    def classify_each(
        self, images: Iterable[S], options: Options | None = None
    ) -> Generator[tuple[S, Classification], None, None]:
        """Classify a stream of images; yields each image with its answer, as answers arrive.

        Reads `images` only as fast as they are answered. Closing the iterator, or an exception,
        waits for requests in flight, but for no other attempt.

        Raises:
            ClientError: no image can be classified, for example because the gateway is unreachable.
        """
        yield from self._classify_each(images, lambda image: image, options or Options())

    @overload
    def embed(
        self, images: ImageList, *, model: str | None = None, resolution: int | None = None
    ) -> "list[array[float]]": ...

    @overload
    def embed(
        self, images: ImageSource, *, model: str | None = None, resolution: int | None = None
    ) -> "array[float]": ...

    def embed(
        self,
        images: ImageSource | ImageList,
        *,
        model: str | None = None,
        resolution: int | None = None,
    ) -> "array[float] | list[array[float]]":
        """The embedding of one image, or of each of a list, as float32 values.

        Name the `model`: embeddings of different models, or of the two forms of one, cannot be
        compared. To continue past bad images, use `classify_each` with `Options(embedding=True)`.

        Raises:
            ClientError: an image cannot be embedded, or the model has no embeddings.
        """
        if not isinstance(images, list | tuple):
            found = self.classify(
                images, model=model, resolution=resolution, top_k=1, embedding=True
            )
            return embedding_of(found)
        several = self.classify(images, model=model, resolution=resolution, top_k=1, embedding=True)
        return [embedding_of(found) for found in several]

    def models(self) -> list[Model]:
        """The models and their cost."""
        return self._run(calls.models(self._retry))

    def layers(self, model: str, resolution: int | None = None) -> LayerTable:
        """The cost of every layer of a model, at its trained resolution or another.

        Raises:
            UnknownModel: no loaded model has that name.
        """
        return self._run(calls.layers(model, resolution, self._retry))

    def info(self) -> Info:
        """Version, workers, models and limits of the gateway; of several, the first to answer."""
        return self._gateways()[0]

    def _classify_each(
        self, items: Iterable[T], source: Callable[[T], ImageSource], options: Options
    ) -> Iterator[tuple[T, Classification]]:
        chosen = pace(self._gateways(), self._concurrency)
        waiting: dict[Future[list[Classification]], list[T]] = {}
        remaining = iter(items)
        failure: BaseException | None = None
        with (
            ThreadPoolExecutor(chosen.requests, "classify") as pool,
            self._cancel_event() as cancel,
        ):
            while True:
                while len(waiting) < chosen.requests and (
                    group := list(islice(remaining, chosen.images))
                ):
                    steps = calls.classify_group([*map(source, group)], options, self._retry)
                    waiting[pool.submit(self._run, steps, cancel)] = group
                if not waiting:
                    break
                for done in wait(waiting, return_when=FIRST_COMPLETED).done:
                    group = waiting.pop(done)
                    if error := done.exception():  # the answers of other requests still count
                        failure = failure or error
                        remaining = iter(())
                        cancel.set()
                        continue
                    yield from zip(group, done.result(), strict=True)
        if failure:
            raise failure

    @contextmanager
    def _cancel_event(self) -> Iterator[threading.Event]:
        """An event that ends waits for another attempt; set at the end of the block."""
        cancel = threading.Event()
        self._cancels.add(cancel)
        try:
            yield cancel
        finally:
            cancel.set()
            self._cancels.discard(cancel)

    def _gateways(self) -> list[Info]:
        """What each gateway says of itself; those that do not answer count like the first."""
        servers = self._servers.all
        found = []
        for server in servers if len(servers) > 1 else ():
            with suppress(Unreachable, Unavailable):
                found.append(self._run(calls.info(NO_RETRY), only=server))
                server.workers = found[-1].workers
        found = found or [self._run(calls.info(self._retry))]  # waits for any of them
        return found + found[:1] * (len(servers) - len(found))

    def _run_teaching(self, steps: Steps[T]) -> T:
        return self._run(steps, only=self._servers.all[0])

    def _run(
        self,
        steps: Steps[T],
        cancel: threading.Event | None = None,
        only: Server[httpx.Client] | None = None,
    ) -> T:
        """Carry out steps, at the `only` gateway if there is one, and return their result."""
        answer: Any = None
        try:
            while True:
                step = steps.send(answer)
                if isinstance(step, Send):
                    answer = self._send(step, only)
                elif isinstance(step, Wait):
                    self._wait(step.seconds, cancel or self._closing)
                    answer = None
                else:
                    answer = step.function()
        except StopIteration as end:
            found: T = end.value
            return found

    def _send(self, step: Send, only: Server[httpx.Client] | None) -> Reply:
        """The answer of the least busy gateway, or of another one if that fails."""
        tried: list[Server[httpx.Client]] = []
        while attempt := self._servers.begin(tried, only):
            http = attempt.server.http
            try:
                if http.is_closed:
                    raise Closed("The client is closed.")
                reply: Reply = http.send(step.request(http))
            except httpx.TransportError as error:
                reply = error
            finally:
                self._servers.end(attempt)
            if not self._servers.judge(attempt, reply) or only:
                break
            tried.append(attempt.server)
        return reply

    def _wait(self, seconds: float, cancel: threading.Event) -> None:
        if cancel.wait(seconds):
            raise Closed("Closed before the next attempt.")
