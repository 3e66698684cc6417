"""Download one file, resuming an interrupted download."""

from pathlib import Path

import httpx

from models.progress import Progress

TIMEOUT_S = 30


class DownloadError(Exception):
    """A download failed; the text says why, without the address."""


def download(url: str, part: Path, name: str, limit_bytes: int, progress: Progress) -> bool:
    """Download to `part`; True if the download resumed an interrupted one.

    Raises:
        DownloadError: the server failed, or the file is larger than `limit_bytes`.
        OSError: `part` cannot be written.
    """
    try:
        return _download(url, part, name, limit_bytes, progress)
    except httpx.HTTPError as error:
        raise DownloadError(str(error) or type(error).__name__) from error


def _client() -> httpx.Client:
    """A client with the proxies and certificates of the environment."""
    try:
        return httpx.Client(timeout=TIMEOUT_S, follow_redirects=True)
    except (ImportError, OSError, ValueError) as error:
        raise DownloadError(
            f"the environment's proxy or certificates are not usable: {error}"
        ) from error


def _download(url: str, part: Path, name: str, limit_bytes: int, progress: Progress) -> bool:
    done = part.stat().st_size if part.exists() else 0
    if done >= limit_bytes:
        done = 0
    # A range counts the bytes on the wire, so they must not be compressed.
    headers = {"Accept-Encoding": "identity", **({"Range": f"bytes={done}-"} if done else {})}
    with _client() as client, client.stream("GET", url, headers=headers) as response:
        if response.status_code == httpx.codes.REQUESTED_RANGE_NOT_SATISFIABLE:
            part.unlink(missing_ok=True)  # otherwise every later request would fail too
        response.raise_for_status()
        check_redirects(response)
        resumed = done > 0 and response.status_code == httpx.codes.PARTIAL_CONTENT
        with part.open("ab" if resumed else "wb") as out:
            total = _total_bytes(response, out.tell(), limit_bytes)
            for chunk in response.iter_bytes():
                if out.tell() + len(chunk) > limit_bytes:
                    part.unlink()
                    raise DownloadError(f"larger than the limit of {limit_bytes} bytes")
                out.write(chunk)
                progress(name, out.tell(), total)
    return resumed


def check_redirects(response: httpx.Response) -> None:
    """Check that no redirect leads from HTTPS to plain HTTP.

    Raises:
        DownloadError: a redirect does.
    """
    schemes = [step.url.scheme for step in (*response.history, response)]
    if schemes[0] == "https" and "http" in schemes:
        raise DownloadError(f"redirects to {response.url}, which is not https")


def _total_bytes(response: httpx.Response, done_bytes: int, limit_bytes: int) -> int:
    """Size of the whole file as declared by the server, for the progress bar."""
    declared = response.headers.get("Content-Length", "")
    return min(done_bytes + int(declared), limit_bytes) if declared.isdecimal() else limit_bytes
