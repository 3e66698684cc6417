"""What both clients tell httpx: address, key, time-outs, connections."""

import re
import ssl
from typing import TypeVar

import httpx

USER_AGENT = "mobilenet-gateway-client"
DEFAULT_URL = "http://127.0.0.1:8000"
TIMEOUT_S = 60.0  # more than the longest deadline that a gateway has unless it is told to
CONNECT_S = 5.0
CREDENTIALS = re.compile(r"(?<=//)[^/?#]*@")


Http = TypeVar("Http", httpx.Client, httpx.AsyncClient)


def open_http(
    kind: type[Http],
    url: str,
    api_key: str | None,
    timeout_s: float,
    verify: ssl.SSLContext | bool,
) -> Http:
    """An HTTP client of that kind. Connections are as many as calls at once, and are kept.

    Raises:
        ValueError: the address is not one of HTTP, the key is malformed, or the environment names a
            proxy or certificates that cannot be used.
    """
    if not _is_address(url):
        shown = url.rpartition("@")[2]  # before it stands a password
        raise ValueError(f"{shown!r} is no address such as {DEFAULT_URL}")
    headers = {"User-Agent": USER_AGENT, "Accept-Encoding": "identity"}
    if api_key:
        if not (api_key.isascii() and api_key.isprintable()):
            raise ValueError("the API key has characters that no key has: accents or line ends")
        headers["X-API-Key"] = api_key
    given = httpx.URL(url)
    try:
        return kind(
            # beside the address and not in it, so that they are in no message and no log
            base_url=without_credentials(url),
            auth=(given.username, given.password) if given.userinfo else None,
            headers=headers,
            timeout=httpx.Timeout(timeout_s, connect=min(CONNECT_S, timeout_s)),
            limits=httpx.Limits(max_connections=None, max_keepalive_connections=None),
            # certificates take long to read
            verify=verify if url.startswith("https://") else False,
        )
    except (ImportError, OSError, ValueError) as error:
        raise ValueError(
            f"the environment's proxy or certificates cannot be used: {error}"
        ) from error


def without_credentials(url: str) -> str:
    """The address without `user:password@`, and without a slash at its end."""
    return CREDENTIALS.sub("", url, count=1).rstrip("/")


def _is_address(url: str) -> bool:
    try:
        return url.startswith(("http://", "https://")) and bool(httpx.URL(url).host)
    except httpx.InvalidURL:
        return False
