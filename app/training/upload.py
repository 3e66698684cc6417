"""POST /heads/{name}/examples/{label}: a request with images to keep, from admission to release."""

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import TypeVar

from pydantic import BaseModel, Field

from app.errors import DeadlineExceeded, RequestError, SlowBody, TooManyImages
from app.request.admitted import AdmittedRequest
from app.request.body import split_images
from app.request.content_encoding import decompress
from app.request.json_text import JsonLimits, JsonStructure, read_model
from app.service.gateway import Gateway
from app.telemetry.record import Record
from app.wire import Headers

Result = TypeVar("Result")
_CAPTURES = re.compile(rb'\s*\{\s*"captures"')


class CaptureIds(BaseModel, extra="forbid", frozen=True):
    """Kept images to move, as JSON."""

    captures: tuple[str, ...] = Field(min_length=1)


Images = Sequence[bytes | RequestError] | CaptureIds


class ExampleUpload(AdmittedRequest):
    """One request with images. In order: `open`, `answer`, `close`."""

    __slots__ = ("_content_encoding", "_content_type", "_received")

    def __init__(self, gateway: Gateway, record: Record) -> None:
        super().__init__(gateway, record)
        self._content_type = self._content_encoding = ""
        self._received = False

    def open(self, headers: Headers) -> None:
        """Admit the request by its headers, whose names are in lower case.

        Raises:
            RequestError: the request cannot be answered, whatever its body is.
        """
        self.admit(headers)
        found = dict(headers)
        self._content_type = found.get(b"content-type", b"").decode("latin-1")
        self._content_encoding = found.get(b"content-encoding", b"").decode("latin-1")

    async def answer(
        self, chunks: AsyncIterator[bytes], keep: Callable[[Images], Awaitable[Result]]
    ) -> Result:
        """Read the body and `keep` its images, within the deadline.

        Raises:
            RequestError: the body has no images, or the deadline passed.
        """
        try:
            async with asyncio.timeout(self.deadline_ms / 1000):
                async for chunk in chunks:
                    self.take(chunk)
                images = self._images()
                self._received = True
                return await keep(images)
        except TimeoutError:
            raise self.too_late() from None

    def too_late(self) -> SlowBody | DeadlineExceeded:
        if not self._received:
            return super().too_late()
        return DeadlineExceeded(
            f"The deadline of {self.deadline_ms:g} ms passed. Images that were kept are recognised "
            "if you send them again."
        )

    def _images(self) -> Images:
        settings = self.gateway.settings
        body = self.body()
        if self._content_encoding:
            body = decompress(body, self._content_encoding, settings.max_body_bytes)
            self.hold_instead(len(body))
        if _CAPTURES.match(body):
            JsonStructure(_limits(settings.max_images)).add(body)
            captures = read_model(CaptureIds, body)
            if len(captures.captures) > settings.max_images:
                raise TooManyImages(f"More than {settings.max_images} images in one request.")
            return captures
        return split_images(body, self._content_type, settings.max_images)


def _limits(max_images: int) -> JsonLimits:
    return JsonLimits(commas=max_images, lists=1, objects=1, quotes=2 * max_images + 2)
