"""A camera that is asked over HTTP. Its client is imported with the first frame, not at start."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import replace
from importlib import import_module
from typing import Literal
from urllib.parse import urlsplit

from app.cameras.frames.frame import Frame
from app.cameras.sources.http_request import HttpRequest
from app.cameras.sources.name_lookup import NameLookup
from app.cameras.sources.source import SourceError
from app.cameras.status import SourceStatus

LOOKUP_S = 1.5
CLIENT = "app.cameras.sources.http_client"


class HttpSource:
    """A snapshot or MJPEG; its first answer tells, unless a `kind` is required."""

    opening_s = 0.0

    def __init__(
        self, request: HttpRequest, shown: str, kind: Literal["snapshot", "mjpeg"] | None
    ) -> None:
        self.status = SourceStatus(kind=kind or "http", address=shown)
        self._kind = kind
        self._name = NameLookup(urlsplit(request.url).hostname or "")
        self._request = replace(request, answers=self._answers)

    async def frames(self) -> AsyncGenerator[Frame | None, None]:
        """As `Source.frames`."""
        try:
            await self._name.done(LOOKUP_S)
        except TimeoutError:
            raise SourceError("The name server does not answer.") from None
        await asyncio.to_thread(import_module, CLIENT)
        from app.cameras.sources.http_client import http_frames

        async with aclosing(http_frames(self._request)) as frames:
            async for frame in frames:
                yield frame

    async def close(self) -> None:
        """Everything ends with the iteration."""

    def _answers(self, kind: Literal["snapshot", "mjpeg"]) -> None:
        if self._kind is not None and kind != self._kind:
            raise SourceError(f"The camera answers {kind}. Set `kind` to it, or leave it out.")
        if self.status.kind != kind:
            self.status = SourceStatus(kind=kind, address=self.status.address)
