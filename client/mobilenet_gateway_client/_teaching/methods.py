"""The methods of both clients that teach heads; the gateway has to have the setting `heads`."""

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from typing import Any, TypeVar, overload

from mobilenet_gateway_client._exchange import Steps
from mobilenet_gateway_client._images import ImageList, ImageSource
from mobilenet_gateway_client._retry import Retry
from mobilenet_gateway_client._teaching import calls
from mobilenet_gateway_client._teaching.records import Example, TaughtHead, TrainingReport

T = TypeVar("T")
OnWait = Callable[[float], None]
TRAINING_S = 600.0  # a thousand photos take some seconds on a laptop and a minute on a small board
TELL_S = 1.0  # between two calls of `on_wait`


class Teaching:
    """Teach heads; the client's `api_key` has to be the gateway's admin key.

    A head belongs to one gateway: of several addresses, the first one.

    All methods raise a `Problem` whose `type` says what the gateway rejects: `not-found`,
    `bad-name`, `name-taken`, `storage-full` and so on.
    """

    _retry: Retry

    def _run_teaching(self, steps: Steps[T]) -> T:
        raise NotImplementedError

    @overload
    def add_examples(
        self, head: str, label: str, images: ImageList, *, base: str | None = None
    ) -> list[Example]: ...

    @overload
    def add_examples(
        self, head: str, label: str, images: ImageSource, *, base: str | None = None
    ) -> Example: ...

    def add_examples(
        self, head: str, label: str, images: ImageSource | ImageList, *, base: str | None = None
    ) -> Example | list[Example]:
        """Add one image, or a list of images, under a label; they are on the gateway's disk then.

        The first example makes the head. `base` names the model to teach it on, if not the default.
        In a list, the example of a bad image has its `error`. To continue after another error, add
        the same images again: those that were kept are recognised.

        Raises:
            ClientError: the one image, or none of the list, can be added.
        """
        if isinstance(images, list | tuple):
            return self._run_teaching(calls.add_several(head, label, images, base, self._retry))
        return self._run_teaching(calls.add_one(head, label, images, base, self._retry))

    def heads(self) -> list[TaughtHead]:
        """All heads that are taught over HTTP, without their examples."""
        return self._run_teaching(calls.heads(self._retry))

    def head(self, name: str) -> TaughtHead:
        """One head with its examples, and the report of its last training."""
        return self._run_teaching(calls.head(name, self._retry))

    def train(
        self, head: str, *, wait_s: float = TRAINING_S, on_wait: OnWait | None = None
    ) -> TrainingReport:
        """Train a head on its examples; the gateway serves it when this returns.

        Waits for another training to end first, at most `wait_s` in all. `on_wait` is called every
        second with the seconds so far.

        Raises:
            Problem: `cannot-train`, for example with one label only; `training` if another training
                outlasts `wait_s`.
            Unreachable: the training itself does.
        """
        steps = calls.train(head, wait_s, self._retry)
        if on_wait is None:
            return self._run_teaching(steps)
        began = time.monotonic()
        with ThreadPoolExecutor(1, "train") as pool:
            training = pool.submit(self._run_teaching, steps)
            while not wait([training], TELL_S).done:
                on_wait(time.monotonic() - began)
            return training.result()

    def undo_training(self, head: str) -> TrainingReport:
        """Serve the head before the last training again, once; its report."""
        return self._run_teaching(calls.undo(head, self._retry))

    def download_head(self, head: str) -> bytes:
        """The file of the served head, `NAME.head.npz`, for the store of any gateway."""
        return self._run_teaching(calls.file(head, self._retry))

    def example_image(self, head: str, example_id: str) -> bytes:
        """The image of an example, as it was added."""
        return self._run_teaching(calls.image(head, example_id, self._retry))

    def relabel_example(self, head: str, example_id: str, label: str) -> Example:
        """Give an example another label."""
        return self._run_teaching(calls.relabel(head, example_id, label, self._retry))

    def delete_example(self, head: str, example_id: str) -> None:
        """Delete an example."""
        self._run_teaching(calls.delete_example(head, example_id, self._retry))

    def delete_label(self, head: str, label: str) -> None:
        """Delete a label with its examples."""
        self._run_teaching(calls.delete_label(head, label, self._retry))

    def delete_head(self, head: str) -> None:
        """Delete a head with its examples; the gateway stops serving it."""
        self._run_teaching(calls.delete_head(head, self._retry))


class AsyncTeaching:
    """`Teaching` with `await`."""

    _retry: Retry

    async def _run_teaching(self, steps: Steps[T]) -> T:
        raise NotImplementedError

    @overload
    async def add_examples(
        self, head: str, label: str, images: ImageList, *, base: str | None = None
    ) -> list[Example]: ...

    @overload
    async def add_examples(
        self, head: str, label: str, images: ImageSource, *, base: str | None = None
    ) -> Example: ...

    async def add_examples(
        self, head: str, label: str, images: ImageSource | ImageList, *, base: str | None = None
    ) -> Example | list[Example]:
        """As `Client.add_examples`."""
        if isinstance(images, list | tuple):
            return await self._run_teaching(
                calls.add_several(head, label, images, base, self._retry)
            )
        return await self._run_teaching(calls.add_one(head, label, images, base, self._retry))

    async def heads(self) -> list[TaughtHead]:
        """As `Client.heads`."""
        return await self._run_teaching(calls.heads(self._retry))

    async def head(self, name: str) -> TaughtHead:
        """As `Client.head`."""
        return await self._run_teaching(calls.head(name, self._retry))

    async def train(
        self, head: str, *, wait_s: float = TRAINING_S, on_wait: OnWait | None = None
    ) -> TrainingReport:
        """As `Client.train`."""
        began = time.monotonic()
        training: asyncio.Task[Any] = asyncio.ensure_future(
            self._run_teaching(calls.train(head, wait_s, self._retry))
        )
        try:
            while not (await asyncio.wait([training], timeout=TELL_S))[0]:
                if on_wait is not None:
                    on_wait(time.monotonic() - began)
            report: TrainingReport = training.result()
            return report
        finally:
            training.cancel()

    async def undo_training(self, head: str) -> TrainingReport:
        """As `Client.undo_training`."""
        return await self._run_teaching(calls.undo(head, self._retry))

    async def download_head(self, head: str) -> bytes:
        """As `Client.download_head`."""
        return await self._run_teaching(calls.file(head, self._retry))

    async def example_image(self, head: str, example_id: str) -> bytes:
        """As `Client.example_image`."""
        return await self._run_teaching(calls.image(head, example_id, self._retry))

    async def relabel_example(self, head: str, example_id: str, label: str) -> Example:
        """As `Client.relabel_example`."""
        return await self._run_teaching(calls.relabel(head, example_id, label, self._retry))

    async def delete_example(self, head: str, example_id: str) -> None:
        """As `Client.delete_example`."""
        await self._run_teaching(calls.delete_example(head, example_id, self._retry))

    async def delete_label(self, head: str, label: str) -> None:
        """As `Client.delete_label`."""
        await self._run_teaching(calls.delete_label(head, label, self._retry))

    async def delete_head(self, head: str) -> None:
        """As `Client.delete_head`."""
        await self._run_teaching(calls.delete_head(head, self._retry))
