"""POST /heads/{name}/examples/{label}: a request with images to keep, from admission to release."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import TypeVar

from app.errors import DeadlineExceeded, RequestError, SlowBody
from app.request.admitted import AdmittedRequest
from app.request.body import split_images
from app.request.content_encoding import decompress
from app.service.gateway import Gateway
from app.telemetry.record import Record
from app.wire import Headers

Result = TypeVar("Result")


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
        self,
        chunks: AsyncIterator[bytes],
        keep: Callable[[Sequence[bytes | RequestError]], Awaitable[Result]],
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

    def _images(self) -> Sequence[bytes | RequestError]:
        settings = self.gateway.settings
        body = self.body()
        if self._content_encoding:
            body = decompress(body, self._content_encoding, settings.max_body_bytes)
            self.hold_instead(len(body))
        return split_images(body, self._content_type, settings.max_images)
