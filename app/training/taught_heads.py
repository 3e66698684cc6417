"""What lives as long as the service for heads that are taught over HTTP."""

import asyncio
import hashlib
import logging
import re
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from app.card.card import NAME
from app.errors import BadName, BadQuery, ModelFileError, NameTaken, NotFound, RequestError
from app.examples.disk_errors import disk_errors
from app.examples.example import Example
from app.examples.example_folder import ExampleFolder, NewExample
from app.examples.example_store import ExampleStore
from app.heads.head import UNKNOWN
from app.heads.head_file import read_head
from app.images.formats import sniff
from app.model.files import file_stem, model_files
from app.model.store_folder import AUTO
from app.service.gateway import Gateway
from app.teaching.embedded_photos import TeachingError, check_label
from app.teaching.lesson import views_for
from app.training.embedder import BaseForms, Embedder
from app.training.trainer import Trainer
from app.training.upload import CaptureIds, Images

log = logging.getLogger(__name__)
Added = tuple[Example, bool] | RequestError  # whether it was there already


@dataclass(frozen=True, slots=True)
class HeadState:
    """What is known of a head without its report."""

    folder: ExampleFolder
    taught: bool
    outdated: bool
    training: bool
    taught_at: str | None


class TaughtHeads:
    """Examples, their embeddings and training; event loop only."""

    def __init__(self, gateway: Gateway, store: ExampleStore) -> None:
        self._gateway, self.store = gateway, store
        self._bases = BaseForms(gateway.store)
        self._embedder = Embedder(gateway.classifier, gateway.scheduler)
        self.trainer = Trainer(gateway, store, self._bases, self._embedder)

    @classmethod
    async def open(cls, gateway: Gateway, path: Path) -> Self:
        """Open the folder of examples; reads every small file of it.

        Raises:
            StoreUnusable: the folder cannot be used.
            StorageFull: the disk is full.
        """
        with disk_errors():
            limit = gateway.settings.heads_limit_bytes
            return cls(gateway, await asyncio.to_thread(ExampleStore, path, limit))

    def close(self) -> None:
        """Let another process use the folder."""
        self.store.close()

    def state(self, name: str) -> HeadState:
        """What is known of a head; reads files.

        Raises:
            NotFound: there is no such head.
        """
        folder, versions = self.store.get(name), self.store.versions(name)
        lesson = versions.lesson()
        return HeadState(
            folder=folder,
            taught=versions.taught,
            outdated=lesson is not None and lesson.examples != folder.fingerprint,
            training=self.trainer.running == name,
            taught_at=lesson.taught_at if lesson else None,
        )

    def states(self) -> list[HeadState]:
        """What is known of all heads; reads files."""
        return [self.state(name) for name in self.store.names()]

    def report(self, name: str) -> str | None:
        """What the training of the served head found out, as JSON; None without one."""
        with suppress(OSError, ModelFileError):
            return read_head(self.store.versions(name).path)[1]
        return None

    async def relabel(self, name: str, example_id: str, label: str) -> Example:
        """Give an example another label.

        Raises:
            NotFound: there is no such head or example.
            BadName: it cannot be a label.
        """
        check_usable_label(label)
        with disk_errors():
            return await asyncio.to_thread(self.store.relabel, name, example_id, label)

    async def remove_example(self, name: str, example_id: str) -> None:
        """Remove an example for good; raises `NotFound` if there is none."""
        with disk_errors():
            await asyncio.to_thread(self.store.remove_example, name, example_id)

    async def remove_label(self, name: str, label: str) -> None:
        """Remove the examples of a label for good; raises `NotFound` if there are none."""
        with disk_errors():
            await asyncio.to_thread(self.store.remove_label, name, label)

    async def image(self, name: str, example_id: str) -> tuple[bytes, str]:
        """The bytes of an example and their content type; raises `NotFound` if there is none."""
        folder = self.store.get(name)
        example = folder.get(example_id)
        with disk_errors():
            return await asyncio.to_thread(folder.image, example), example.content_type

    async def file(self, name: str) -> bytes:
        """The file of the served head.

        Raises:
            NotFound: there is no such head, or it was not trained yet.
        """
        self.store.get(name)
        versions = self.store.versions(name)
        if not versions.taught:
            raise NotFound(f"{name} was not trained yet.")
        with disk_errors():
            return await asyncio.to_thread(versions.path.read_bytes)

    def check_new(self, name: str, label: str, base: str | None) -> None:
        """Check what an upload asks for, before its body is read.

        Raises:
            BadName: the head or the label cannot have this name.
            NameTaken: another model has the name.
            BadQuery: the base cannot be one, or is not that of the head.
            UnknownModel: the base is not loaded.
        """
        check_usable_label(label)
        folder = self.store.find(name)
        if folder is None:
            self._check_name(name)
            self._bases.check(base)
        elif base is not None and base != folder.base:
            raise BadQuery(
                f"base: {name} is taught on {folder.base}. Delete the head first to change it."
            )

    async def add(self, name: str, label: str, base: str | None, images: Images) -> list[Added]:
        """Embed and keep images; each with its example, or the error in its place."""
        if isinstance(images, CaptureIds):
            return [await self._move(name, label, base, one) for one in images.captures]
        return [
            image if isinstance(image, RequestError) else await self._add(name, label, base, image)
            for image in images
        ]

    async def _move(self, name: str, label: str, base: str | None, capture_id: str) -> Added:
        """Keep a captured image as an example, and then no longer as a capture."""
        captures = self._gateway.captures
        if captures is None:
            return NotFound("No images are kept. Set `capture` (GATEWAY_CAPTURE) to a folder.")
        try:
            image = await asyncio.to_thread(captures.read, capture_id)
        except RequestError as error:
            return error
        added = await self._add(name, label, base, image)
        if not isinstance(added, RequestError):
            with suppress(RequestError, OSError):  # gone meanwhile
                await asyncio.to_thread(captures.remove, capture_id)
        return added

    def _check_name(self, name: str) -> None:
        if not re.fullmatch(NAME, name) or name == AUTO:
            raise BadName(
                f"{name[:100]!a} cannot be the name of a head: up to 100 lower-case letters, "
                "digits, `.`, `_` and `-` can, with a letter or digit first."
            )
        store = self._gateway.settings.store
        names = {model.name for model in self._gateway.store}
        with disk_errors():
            names |= {file_stem(path) for path in model_files(store)}
        if name in names:
            raise NameTaken(f"The store already has a model {name!r}. Choose another name.")

    async def _add(self, name: str, label: str, base: str | None, image: bytes) -> Added:
        try:
            content_type = f"image/{sniff(image).lower()}"
            folder = self.store.find(name)
            sha256 = (await asyncio.to_thread(hashlib.sha256, image)).hexdigest()
            if folder and (known := folder.find(sha256, label)):
                return known, True
            model = folder.base if folder else self._bases.check(base).name
            both = folder.both_forms if folder else base is None
            forms = await asyncio.to_thread(self._bases.of, model, both=both)
            views = views_for(len(folder.examples) + 1 if folder else 1)
            units = await self._embedder.embed(image, forms, views)
            new = NewExample(image, label, content_type, units)
            with disk_errors():
                return await asyncio.to_thread(self.store.add, new, name, model, both_forms=both)
        except RequestError as error:
            return error


class LazyHeads:
    """The folder of heads, opened by the first request that needs it."""

    def __init__(self) -> None:
        self._opening = asyncio.Lock()
        self._opened: TaughtHeads | None = None

    async def get(self, gateway: Gateway) -> TaughtHeads:
        """The opened folder.

        Raises:
            NotFound: the setting names none.
            StoreUnusable: it cannot be used.
        """
        path = gateway.settings.heads
        if path is None:
            raise NotFound(
                "Teaching over HTTP is disabled. Set `heads` (GATEWAY_HEADS) to a writable folder."
            )
        async with self._opening:
            if self._opened is None:
                self._opened = await TaughtHeads.open(gateway, path)
            return self._opened

    def close(self) -> None:
        """Let another process use the folder."""
        if self._opened is not None:
            self._opened.close()


def check_usable_label(label: str) -> None:
    """Check that an example can have this label.

    Raises:
        BadName: it cannot.
    """
    try:
        check_label(label)
    except TeachingError as error:
        raise BadName(str(error)) from error
    if label == UNKNOWN:
        raise BadName(
            f"The label `{UNKNOWN}` is reserved for images that resemble no example. Use `none` "
            "for other things that the camera sees."
        )
