"""The requests that HTTP does not allow although the parser does (RFC 9112)."""

import re

from app.errors import BadRequest, RequestError, UnsupportedTransferCoding
from app.wire import Headers

HOST = re.compile(rb"[A-Za-z0-9.\-_~%!$&'()*+,;=]+(:[0-9]*)?|\[[0-9A-Fa-f:.]+\](:[0-9]*)?")

CODING = b"transfer-encoding"


def host_error(http_version: str, hosts: list[bytes]) -> RequestError | None:
    """The error of a request without exactly one valid Host header (section 3.2)."""
    if not hosts and http_version == "1.0":
        return None
    if len(hosts) != 1:
        return BadRequest(f"The request has {len(hosts) or 'no'} Host headers. Send exactly one.")
    if hosts[0]:
        return BadRequest("The Host header is not a host name with an optional port.")
    return None


def coding_error(headers: Headers) -> RequestError | None:
    """The error of a request with a transfer coding other than chunked (section 6.1)."""
    for name, value in headers:
        if name == CODING and value.strip().lower() != b"chunked":
            coding = value[:50].decode("latin-1")
            return UnsupportedTransferCoding(
                f"Unsupported Transfer-Encoding {coding!r}. Supported: chunked."
            )
    return None
