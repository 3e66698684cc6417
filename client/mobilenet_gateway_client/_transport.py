"""The httpx client: address, key, timeouts, connections."""

import re
import ssl
from collections.abc import Sequence
from typing import TypeVar

import httpx

USER_AGENT = "mobilenet-gateway-client"
DEFAULT_URL = "http://127.0.0.1:8000"
TIMEOUT_S = 60.0  # well above the default deadline of the gateway, 10 s
CONNECT_S = 5.0
CREDENTIALS = re.compile(r"(?<=//)[^/?#]*@")

Http = TypeVar("Http", httpx.Client, httpx.AsyncClient)


def open_https(
    kind: type[Http],
    urls: str | Sequence[str],
    api_key: str | None,
    timeout_s: float,
    verify: ssl.SSLContext | bool,
) -> list[Http]:
    """As `open_http`, one for each address.

    Raises:
        ValueError: as `open_http`, or there is no address, or the same one twice.
    """
    addresses = [urls] if isinstance(urls, str) else list(urls)
    plain = [without_credentials(url) for url in addresses]
    if not addresses or len(set(plain)) < len(plain):
        raise ValueError(f"Pass at least one address, each once: {', '.join(plain) or 'none'}.")
    return [open_http(kind, url, api_key, timeout_s, verify) for url in addresses]


def open_http(
    kind: type[Http],
    url: str,
    api_key: str | None,
    timeout_s: float,
    verify: ssl.SSLContext | bool,
) -> Http:
    """An HTTP client of that kind, with a kept-alive connection for each concurrent call.

    Raises:
        ValueError: the address or the key is malformed, or the environment names an unusable proxy
            or certificate file.
    """
    if not _is_address(url):
        shown = url.rpartition("@")[2]  # without the password
        raise ValueError(f"Invalid address {shown!r}. Use one such as {DEFAULT_URL}.")
    headers = {"User-Agent": USER_AGENT, "Accept-Encoding": "identity"}
    if api_key:
        if not (api_key.isascii() and api_key.isprintable()):
            raise ValueError("The API key may contain printable ASCII characters only.")
        headers["X-API-Key"] = api_key
    given = httpx.URL(url)
    try:
        return kind(
            # apart from the address, so that no message and no log shows them
            base_url=without_credentials(url),
            auth=(given.username, given.password) if given.userinfo else None,
            headers=headers,
            timeout=httpx.Timeout(timeout_s, connect=min(CONNECT_S, timeout_s)),
            limits=httpx.Limits(max_connections=None, max_keepalive_connections=None),
            # reading certificates takes long
            verify=verify if url.startswith("https://") else False,
        )
    except (ImportError, OSError, ValueError) as error:
        raise ValueError(
            f"Cannot use the proxy or certificates of the environment: {error}"
        ) from error


def without_credentials(url: str) -> str:
    """The address without `user:password@` and without a trailing slash."""
    return CREDENTIALS.sub("", url, count=1).rstrip("/")


def _is_address(url: str) -> bool:
    try:
        return url.startswith(("http://", "https://")) and bool(httpx.URL(url).host)
    except httpx.InvalidURL:
        return False
