"""The client for programs with an event loop."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import suppress
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


class AsyncClient:
    """What `Client` is, with `await`, `async with` and `async for`.

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
        self._http = open_http(httpx.AsyncClient, url, api_key, timeout_s, verify)
        self._retry = retry or Retry()
        self._concurrency = calls.at_least_one(concurrency)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Close all connections."""
        await self._http.aclose()

    @overload
    async def classify(
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
    async def classify(
        self,
        images: Source,
        *,
        model: str | None = None,
        resolution: int | None = None,
        top_k: int | None = None,
        deadline_ms: float | None = None,
        budget: Mapping[str, float] | None = None,
    ) -> Classification: ...

    async def classify(
        self,
        images: Source | Several,
        *,
        model: str | None = None,
        resolution: int | None = None,
        top_k: int | None = None,
        deadline_ms: float | None = None,
        budget: Mapping[str, float] | None = None,
    ) -> Classification | list[Classification]:
        """As `Client.classify`."""
        options = Options(model, resolution, top_k, deadline_ms, budget or {})
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

    async def models(self) -> list[Model]:
        """The loaded models and their cost."""
        return await self._run(calls.models(self._retry))

    async def layers(self, model: str, resolution: int | None = None) -> LayerTable:
        """As `Client.layers`."""
        return await self._run(calls.layers(model, resolution, self._retry))

    async def info(self) -> Info:
        """What the gateway is made of, and its limits."""
        return await self._run(calls.info(self._retry))

    async def _classify_each(
        self, items: Iterable[T], source: Callable[[T], Source], options: Options
    ) -> AsyncIterator[tuple[T, Classification]]:
        pace = calls.pace(await self.info(), self._concurrency)
        waiting: dict[asyncio.Task[list[Classification]], list[T]] = {}
        remaining, over = iter(items), asyncio.Event()
        failure: BaseException | None = None
        try:
            while True:
                while len(waiting) < pace.requests and (
                    group := list(islice(remaining, pace.images))
                ):
                    steps = calls.classify_group([*map(source, group)], options, self._retry)
                    waiting[asyncio.create_task(self._run(steps, over))] = group
                if not waiting:
                    break
                ready, _ = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
                for done in ready:
                    group = waiting.pop(done)
                    if error := done.exception():  # what the others have found is not lost
                        failure = failure or error
                        remaining = iter(())
                        over.set()
                        continue
                    for pair in zip(group, done.result(), strict=True):
                        yield pair
        finally:
            for task in waiting:
                task.cancel()
            await asyncio.gather(*waiting, return_exceptions=True)
        if failure:
            raise failure

    async def _run(self, steps: Steps[T], over: asyncio.Event | None = None) -> T:
        """Do what a conversation asks for, until it ends; `over` ends waiting for an attempt."""
        answer: Any = None
        try:
            while True:
                step = steps.send(answer)
                if isinstance(step, Send):
                    answer = await self._send(step)
                elif isinstance(step, Wait):
                    await _wait(step.seconds, over or asyncio.Event())
                    answer = None
                else:
                    answer = await asyncio.to_thread(step.call)
        except StopIteration as end:
            found: T = end.value
            return found

    async def _send(self, step: Send) -> httpx.Response | httpx.TransportError:
        if self._http.is_closed:
            raise Closed("the client is closed")
        try:
            return await self._http.request(
                step.method,
                step.path,
                params=step.query,
                headers=step.headers,
                content=step.content or None,
            )
        except httpx.TransportError as error:
            return error


async def _wait(seconds: float, over: asyncio.Event) -> None:
    with suppress(TimeoutError):
        await asyncio.wait_for(over.wait(), seconds)
        raise Closed("another request failed before the gateway could be asked again")
