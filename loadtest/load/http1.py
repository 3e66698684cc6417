"""The few parts of HTTP/1.1 that the load generators need."""


def request_head(host: str, port: int, path: str, content_type: str, size: int) -> bytes:
    """Return the head of a POST request with a body of `size` bytes."""
    return (
        f"POST {path} HTTP/1.1\r\nHost: {host}:{port}\r\n"
        f"Content-Type: {content_type}\r\nContent-Length: {size}\r\n\r\n"
    ).encode()


def parse_response(received: bytes | bytearray) -> tuple[int, int] | None:
    """Return (status, size in bytes) of a response, or None while it is incomplete.

    Raises:
        ValueError: the head has no Content-Length.
    """
    end = received.find(b"\r\n\r\n")
    if end < 0:
        return None
    head = bytes(received[:end]).lower()
    _, found, rest = head.partition(b"\r\ncontent-length:")
    if not found:
        raise ValueError(f"response without Content-Length: {head[:200]!r}")
    size = end + 4 + int(rest.split(b"\r\n", 1)[0])
    return (int(head[9:12]), size) if len(received) >= size else None
