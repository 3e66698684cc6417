"""Training of heads, one at a time, in a child process; and what is served of the results."""

import asyncio
import logging
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from app.arrays import Float32Array
from app.errors import (
    CannotTrain,
    ModelFileError,
    NothingToUndo,
    Overloaded,
    RequestError,
    Stopping,
    StoreUnusable,
    TrainingRuns,
)
from app.examples.disk_errors import disk_errors
from app.examples.example import Example
from app.examples.example_folder import ExampleFolder
from app.examples.example_store import ExampleStore
from app.heads.head_file import read_head
from app.service.gateway import Gateway
from app.system.child_environment import child_environment
from app.teaching.embedded_photos import too_few_labels
from app.teaching.lesson import views_for
from app.training.embedder import BaseForms, Embedder, Form
from app.training.job import CANNOT_TEACH, DISK_FAILS, TrainingFailure, TrainingForm, TrainingJob

log = logging.getLogger(__name__)
RETRY_S = 0.1  # between attempts to embed an example while the queue is full


class Trainer:
    """Trains heads and serves them; event loop only."""

    def __init__(
        self, gateway: Gateway, store: ExampleStore, bases: BaseForms, embedder: Embedder
    ) -> None:
        self._gateway, self._store = gateway, store
        self._bases, self._embedder = bases, embedder
        self.running: str | None = None  # the head that is being trained
        self._changing: set[str] = set()  # heads that are trained, undone or deleted
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int | None:
        """The child process, while one runs."""
        return self._process.pid if self._process else None

    async def train(self, name: str) -> str:
        """Train a head on its examples and serve it; returns the report as JSON.

        Raises:
            NotFound: there is no such head.
            TrainingRuns: a training runs already.
            CannotTrain: the examples do not suffice, or the child process failed.
            StorageFull: the disk has no place for the head.
        """
        folder = self._store.get(name)
        if self.running is not None:
            raise TrainingRuns(f"{self.running} is being trained. Train {name} after it.")
        if self._gateway.lifecycle.stopping:
            raise Stopping("The service is shutting down; train after its restart.")
        with self._change(name):
            self.running = name
            try:
                return await self._train(folder)
            finally:
                self.running = None

    async def undo(self, name: str) -> str:
        """Serve the head before the last training again; returns its report as JSON.

        Raises:
            NotFound: there is no such head.
            TrainingRuns: it is being trained.
            NothingToUndo: there was none before.
        """
        self._store.get(name)
        with self._change(name):
            versions = self._store.versions(name)
            if not versions.can_undo:
                raise NothingToUndo(f"No head {name} was served before the last training.")
            with disk_errors():
                await asyncio.to_thread(versions.undo)
            return await self._serve(name)

    async def delete(self, name: str) -> None:
        """Delete a head with its examples, and stop serving it.

        Raises:
            NotFound: there is no such head.
            TrainingRuns: it is being trained.
        """
        with self._change(name):
            with disk_errors():
                await asyncio.to_thread(self._store.delete, name)
            await self._reload()

    @contextmanager
    def _change(self, name: str) -> Iterator[None]:
        """Let nothing else change this head as a whole.

        Raises:
            TrainingRuns: something does already.
        """
        if name in self._changing:
            raise TrainingRuns(f"{name} is being trained or changed. Try again after it.")
        self._changing.add(name)
        try:
            yield
        finally:
            self._changing.discard(name)

    async def _train(self, folder: ExampleFolder) -> str:
        _check_classes(folder)
        fingerprint, examples = folder.fingerprint, list(folder.examples.values())
        forms = await asyncio.to_thread(self._bases.of, folder.base, both=folder.both_forms)
        views = views_for(len(examples))
        skipped = await self._embed_missing(folder, examples, forms, views)
        await asyncio.to_thread(self._embedder.unload_opened, self._gateway.store)
        versions = self._store.versions(folder.name)
        job = TrainingJob(
            name=folder.name,
            folder=folder.path.absolute(),
            target=versions.trained.absolute(),
            forms=tuple(
                TrainingForm(card=one.model.card, sha256=one.sha256, views=one.views(views))
                for one in forms
            ),
            examples=tuple((one.id, one.label) for one in examples if one.id not in skipped),
            skipped=tuple(skipped.items()),
        )
        await self._run(job)
        with disk_errors():
            await asyncio.to_thread(versions.swap_in, fingerprint)
        return await self._serve(folder.name)

    async def _serve(self, name: str) -> str:
        """Load the head's file like a reload does; its report as JSON.

        Raises:
            StoreUnusable: the file cannot be served; the head before still is.
        """
        await self._reload()
        store, path = self._gateway.store, self._store.versions(name).path
        try:
            if path.name in store.broken:
                raise ModelFileError(f"{path}: {store.broken[path.name]}")
            if name not in {model.name for model in store}:
                await self._gateway.reloader.load(name)  # a client had unloaded it
            _, report = await asyncio.to_thread(read_head, path)
        except (ModelFileError, OSError) as error:
            log.error("The head %s cannot be served: %s", name, error)
            raise StoreUnusable(
                f"The new head {name} cannot be served. The server's log has the reason."
            ) from error
        return report

    async def _reload(self) -> None:
        try:
            await self._gateway.reloader.reload()
        except ModelFileError as error:
            log.error("Reload failed: %s", error)
            raise StoreUnusable(
                "Cannot read the store. The server's log has the reason."
            ) from error

    async def _embed_missing(
        self, folder: ExampleFolder, examples: Sequence[Example], forms: Sequence[Form], views: int
    ) -> dict[str, str]:
        """Embed examples that lack embeddings by a form; the reasons of those that cannot be."""
        skipped = {}
        for example, missing in await asyncio.to_thread(_missing, folder, examples, forms, views):
            try:
                image = await asyncio.to_thread(folder.image, example)
                units = await self._embed_patiently(image, missing, views)
            except FileNotFoundError:  # deleted since the training began
                continue
            except RequestError as error:
                skipped[example.id] = error.detail
                continue
            with disk_errors():
                await asyncio.to_thread(self._store.add_units, folder, example.id, units)
        return skipped

    async def _embed_patiently(
        self, image: bytes, forms: Sequence[Form], views: int
    ) -> Mapping[str, Float32Array]:
        """Embed an image, behind the requests if the queue is full."""
        while True:
            try:
                return await self._embedder.embed(image, forms, views)
            except Overloaded:
                await asyncio.sleep(RETRY_S)

    async def _run(self, job: TrainingJob) -> None:
        """Let the child process write the head; end it if this is cancelled.

        Raises:
            CannotTrain: the examples cannot be taught, or the process failed.
        """
        self._process = process = start_child()
        try:
            answer, _ = await asyncio.to_thread(process.communicate, job.model_dump_json().encode())
        finally:
            self._process = None
            if process.poll() is None:
                process.kill()
        if process.returncode in (CANNOT_TEACH, DISK_FAILS):
            failure = TrainingFailure.model_validate_json(answer)
            if process.returncode == CANNOT_TEACH:
                raise CannotTrain(failure.reason)
            with disk_errors():
                raise OSError(failure.errno, failure.reason)
        if process.returncode:
            log.error("The training of %s failed; status %s", job.name, process.returncode)
            raise CannotTrain(
                "The training was killed or failed; the head is as before. The server's log has "
                "the reason."
            )


def start_child() -> "subprocess.Popen[bytes]":
    """Start the process, on the thread that lives as long as the service: it dies with it."""
    # One thread, as it may have only what requests leave. subprocess uses vfork: no copy of the
    # service, whose threads would not survive a fork.
    environment = child_environment() | {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(  # noqa: S603  no part is a client's
        [sys.executable, "-P", "-m", "app.training.child", str(os.getpid())],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=environment,
    )


def _missing(
    folder: ExampleFolder, examples: Sequence[Example], forms: Sequence[Form], views: int
) -> list[tuple[Example, list[Form]]]:
    """Each example that lacks embeddings, and the forms whose embeddings it lacks."""
    found = []
    for example in examples:
        missing = [
            form
            for form in forms
            if not folder.has_units(example.id, form.sha256, form.views(views), form.width)
        ]
        if missing:
            found.append((example, missing))
    return found


def _check_classes(folder: ExampleFolder) -> None:
    """Check that there are classes to tell apart.

    Raises:
        CannotTrain: there are not.
    """
    if (labels := len(folder.labels)) < 2:
        raise CannotTrain(too_few_labels(labels))
