"""What both clients tell httpx: address, key, time-outs, connections."""

import ssl
from typing import Any

import httpx

USER_AGENT = "mobilenet-gateway-client"
DEFAULT_URL = "http://127.0.0.1:8000"
TIMEOUT_S = 60.0  # more than the longest deadline that a gateway has unless it is told to
CONNECT_S = 5.0


def http_options(
    url: str, api_key: str | None, timeout_s: float, verify: ssl.SSLContext | bool
) -> dict[str, Any]:
    """Arguments for an httpx client. Connections are as many as calls at once, and are kept.

    Raises:
        ValueError: the address is none of HTTP.
    """
    if not url.startswith(("http://", "https://")) or not httpx.URL(url).host:
        raise ValueError(f"{url!r} is no address such as {DEFAULT_URL}")
    headers = {"User-Agent": USER_AGENT, "Accept-Encoding": "identity"}
    if api_key:
        headers["X-API-Key"] = api_key
    return {
        "base_url": url.rstrip("/"),
        "headers": headers,
        "timeout": httpx.Timeout(timeout_s, connect=min(CONNECT_S, timeout_s)),
        "limits": httpx.Limits(max_connections=None, max_keepalive_connections=None),
        "verify": verify if url.startswith("https://") else False,  # certificates take long to read
    }
