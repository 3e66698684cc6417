"""One file from an address, taken up again where an earlier try stopped."""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import IO

import httpx

from models.progress import Progress

TIMEOUT_S = 30


class DownloadError(Exception):
    """An address did not give the file; the text says why, without the address."""


def download(url: str, part: Path, name: str, limit_bytes: int, progress: Progress) -> bool:
    """Stream to `part`; True if that went on where an earlier try had stopped.

    Raises:
        DownloadError: no answer, not the file, or one of more than `limit_bytes`.
        OSError: `part` cannot be written.
    """
    try:
        return _download(url, part, name, limit_bytes, progress)
    except httpx.HTTPError as error:
        raise DownloadError(str(error) or type(error).__name__) from error


def _client() -> httpx.Client:
    """One that follows the environment: its proxies, its certificates."""
    try:
        return httpx.Client(timeout=TIMEOUT_S, follow_redirects=True)
    except (ImportError, OSError, ValueError) as error:
        raise DownloadError(
            f"the environment's proxy or certificates cannot be used: {error}"
        ) from error


def _download(url: str, part: Path, name: str, limit_bytes: int, progress: Progress) -> bool:
    done = part.stat().st_size if part.exists() else 0
    if done >= limit_bytes:
        done = 0
    # identity: a range counts bytes as they are sent, so they must not be sent compressed
    headers = {"Accept-Encoding": "identity", **({"Range": f"bytes={done}-"} if done else {})}
    with (
        _client() as client,
        client.stream("GET", url, headers=headers) as response,
    ):
        if response.status_code == httpx.codes.REQUESTED_RANGE_NOT_SATISFIABLE:
            part.unlink(missing_ok=True)  # or every later try would ask the same
        response.raise_for_status()
        check_redirects(response)
        resumed = done > 0 and response.status_code == httpx.codes.PARTIAL_CONTENT
        with part.open("ab" if resumed else "wb") as out:
            total = _total_bytes(response, out.tell(), limit_bytes)
            whole = _copy(
                response.iter_bytes(), out, limit_bytes, lambda done: progress(name, done, total)
            )
    if not whole:
        part.unlink()
        raise DownloadError(f"more than the {limit_bytes} bytes that it may have")
    return resumed


def check_redirects(response: httpx.Response) -> None:
    """Refuse an answer that came over plain HTTP although HTTPS was asked for.

    Raises:
        DownloadError: a redirect led from one to the other.
    """
    schemes = [step.url.scheme for step in (*response.history, response)]
    if schemes[0] == "https" and "http" in schemes:
        raise DownloadError(f"leads to {response.url}, which is not https")


def _copy(
    chunks: Iterable[bytes], out: IO[bytes], limit_bytes: int, tell: Callable[[int], None]
) -> bool:
    """Write the chunks as they come; False as soon as there are too many bytes."""
    for chunk in chunks:
        if out.tell() + len(chunk) > limit_bytes:
            return False
        out.write(chunk)
        tell(out.tell())
    return True


def _total_bytes(response: httpx.Response, done_bytes: int, limit_bytes: int) -> int:
    """What the publisher says that the whole file has, for the bar."""
    declared = response.headers.get("Content-Length", "")
    return min(done_bytes + int(declared), limit_bytes) if declared.isdecimal() else limit_bytes
