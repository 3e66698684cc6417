"""The client for an event loop."""

import asyncio
import ssl
from array import array
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import suppress
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
from mobilenet_gateway_client._teaching.methods import AsyncTeaching
from mobilenet_gateway_client._transport import DEFAULT_URL, TIMEOUT_S, open_https

T = TypeVar("T")
S = TypeVar("S", bound=ImageSource)


class AsyncClient(AsyncTeaching):
    """`Client` with `await`, `async with` and `async for`.

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
        self._servers = Servers(open_https(httpx.AsyncClient, url, api_key, timeout_s, verify))
        self._retry = retry or Retry()
        self._concurrency = check_concurrency(concurrency)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Close all connections."""
        for server in self._servers.all:
            await server.http.aclose()

    @overload
    async def classify(
        self, images: ImageList, **options: Unpack[OptionArguments]
    ) -> list[Classification]: ...

    @overload
    async def classify(
        self, images: ImageSource, **options: Unpack[OptionArguments]
    ) -> Classification: ...

    async def classify(
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
        """As `Client.classify`."""
        options = Options(model, resolution, top_k, deadline_ms, budget or {}, embedding, explain)
        if not isinstance(images, list | tuple):
            return await self._run(calls.classify_one(images, options, self._retry))
        order = range(len(images))
        found = {
            index: one
            async for index, one in self._classify_each(order, images.__getitem__, options)
        }
        return [found[index] for index in order]

    async def classify_each(
        self, images: Iterable[S], options: Options | None = None
    ) -> AsyncIterator[tuple[S, Classification]]:
        """As `Client.classify_each`."""
        async for pair in self._classify_each(images, lambda image: image, options or Options()):
            yield pair

    @overload
    async def embed(
        self, images: ImageList, *, model: str | None = None, resolution: int | None = None
    ) -> "list[array[float]]": ...

    @overload
    async def embed(
        self, images: ImageSource, *, model: str | None = None, resolution: int | None = None
    ) -> "array[float]": ...

    async def embed(
        self,
        images: ImageSource | ImageList,
        *,
        model: str | None = None,
        resolution: int | None = None,
    ) -> "array[float] | list[array[float]]":
        """As `Client.embed`."""
        if not isinstance(images, list | tuple):
            found = await self.classify(
                images, model=model, resolution=resolution, top_k=1, embedding=True
            )
            return embedding_of(found)
        several = await self.classify(
            images, model=model, resolution=resolution, top_k=1, embedding=True
        )
        return [embedding_of(found) for found in several]

    async def models(self) -> list[Model]:
        """The loaded models and their cost."""
        return await self._run(calls.models(self._retry))

    async def layers(self, model: str, resolution: int | None = None) -> LayerTable:
        """As `Client.layers`."""
        return await self._run(calls.layers(model, resolution, self._retry))

    async def info(self) -> Info:
        """Version, workers, models and limits of the gateway; of several, the first to answer."""
        return (await self._gateways())[0]

    async def _classify_each(
        self, items: Iterable[T], source: Callable[[T], ImageSource], options: Options
    ) -> AsyncIterator[tuple[T, Classification]]:
        chosen = pace(await self._gateways(), self._concurrency)
        waiting: dict[asyncio.Task[list[Classification]], list[T]] = {}
        remaining, cancel = iter(items), asyncio.Event()
        failure: BaseException | None = None
        try:
            while True:
                while len(waiting) < chosen.requests and (
                    group := list(islice(remaining, chosen.images))
                ):
                    steps = calls.classify_group([*map(source, group)], options, self._retry)
                    waiting[asyncio.create_task(self._run(steps, cancel))] = group
                if not waiting:
                    break
                ready, _ = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
                for done in ready:
                    group = waiting.pop(done)
                    if error := done.exception():  # the answers of other requests still count
                        failure = failure or error
                        remaining = iter(())
                        cancel.set()
                        continue
                    for pair in zip(group, done.result(), strict=True):
                        yield pair
        finally:
            for task in waiting:
                task.cancel()
            await asyncio.gather(*waiting, return_exceptions=True)
        if failure:
            raise failure

    async def _gateways(self) -> list[Info]:
        """As `Client._gateways`."""
        servers = self._servers.all
        found = []
        for server in servers if len(servers) > 1 else ():
            with suppress(Unreachable, Unavailable):
                found.append(await self._run(calls.info(NO_RETRY), only=server))
                server.workers = found[-1].workers
        found = found or [await self._run(calls.info(self._retry))]
        return found + found[:1] * (len(servers) - len(found))

    async def _run_teaching(self, steps: Steps[T]) -> T:
        return await self._run(steps, only=self._servers.all[0])

    async def _run(
        self,
        steps: Steps[T],
        cancel: asyncio.Event | None = None,
        only: Server[httpx.AsyncClient] | None = None,
    ) -> T:
        """Carry out steps and return their result; `cancel` ends waits for another attempt."""
        answer: Any = None
        try:
            while True:
                step = steps.send(answer)
                if isinstance(step, Send):
                    answer = await self._send(step, only)
                elif isinstance(step, Wait):
                    await _wait(step.seconds, cancel or asyncio.Event())
                    answer = None
                else:
                    answer = await asyncio.to_thread(step.function)
        except StopIteration as end:
            found: T = end.value
            return found

    async def _send(self, step: Send, only: Server[httpx.AsyncClient] | None) -> Reply:
        """As `Client._send`."""
        tried: list[Server[httpx.AsyncClient]] = []
        while attempt := self._servers.begin(tried, only):
            http = attempt.server.http
            try:
                if http.is_closed:
                    raise Closed("The client is closed.")
                reply: Reply = await http.send(step.request(http))
            except httpx.TransportError as error:
                reply = error
            finally:
                self._servers.end(attempt)
            if not self._servers.judge(attempt, reply) or only:
                break
            tried.append(attempt.server)
        return reply


async def _wait(seconds: float, cancel: asyncio.Event) -> None:
    with suppress(TimeoutError):
        await asyncio.wait_for(cancel.wait(), seconds)
        raise Closed("Another request failed before the next attempt.")
