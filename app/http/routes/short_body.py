"""Bodies of a few options, read as a whole."""

import asyncio

from fastapi import Request
from starlette.requests import ClientDisconnect

from app.errors import BadRequest, ClientGone, SlowBody

MAX_BYTES = 64 * 1024


async def read_short_body(request: Request, limit_ms: float) -> bytes:
    """Read a body of up to 64 KiB.

    Raises:
        BadRequest: it is longer.
        ClientGone: the client left before it was complete.
        SlowBody: it did not arrive within `limit_ms`.
    """
    body = b""
    try:
        async with asyncio.timeout(limit_ms / 1000):
            async for chunk in request.stream():
                body += chunk
                if len(body) > MAX_BYTES:
                    raise BadRequest(f"The body is longer than {MAX_BYTES} bytes.")
    except ClientDisconnect:
        raise ClientGone("The client left before its body was complete.") from None
    except TimeoutError:
        raise SlowBody(f"The body did not arrive within {limit_ms:g} ms.") from None
    return body
