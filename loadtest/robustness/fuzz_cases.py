"""Malformed requests: case n of seed s has the same bytes on every machine."""

import base64
import json
from collections.abc import Callable
from dataclasses import dataclass
from random import Random

from loadtest.robustness.mutations import corpus, mutate, mutated_image
from models.network.resolution import MAXIMUM

CONTENT_TYPES = (
    "image/jpeg", "image/png", "image/webp", "image/bmp", "image/gif", "image/tiff", "image/jpg",
    "application/octet-stream",
)  # fmt: skip
INVALID_TEXT = (
    "", "0", "-1", "1", "5", "100", "101", "1e9", "NaN", "inf", "null", "true", "[]", "{}", "%00",
    "%ff%fe", "%0d%0aX:%20y", "../../etc/passwd", "a" * 3000, "\u0663", "96", "127", "128", "512",
    "mobilenet_v2_1.0_224", "' OR 1=1", "${7*7}", "<script>", "\\u0000",
)  # fmt: skip
HEADERS = (
    "Content-Type", "X-Deadline-Ms", "X-Request-ID", "Content-Encoding", "Accept", "Origin",
    "Authorization", "X-API-Key", "Host", "Range", "Cookie",
)  # fmt: skip
NAMES = ("model", "top_k", "resolution", "Model", "", "limit", "a[b]")
BOUNDARY = "----boundary"
BOUNDARIES = ("", "x" * 200, '"', "--", '"----boundary"', "----bound")
PART_NAMES = ("image", "file", "", 'a"b', "\xff", "a\r\nX: y")
PART_FILES = ('; filename="a"', "; filename=", "; filename*=utf-8''x", "", '; filename="\\', ";")


@dataclass(frozen=True, slots=True)
class Case:
    """The bytes of one request.

    `broken_http`: the request is not valid HTTP, so the server may close the connection without an
    answer.
    """

    kind: str
    request: bytes
    broken_http: bool = False


def make_case(seed: int, number: int) -> Case:
    random = Random(f"{seed}/{number}")  # noqa: S311  must be repeatable
    [(kind, make)] = random.choices(tuple(KINDS.items()), WEIGHTS)
    return Case(kind, make(random), broken_http=kind == "http")


def valid_cases() -> list[Case]:
    """Return the valid requests that need the most memory: every image at the largest resolution.

    They belong to the warm-up, since onnxruntime keeps the largest workspace that each thread has
    needed.
    """
    path = f"/predict?resolution={MAXIMUM}"
    return [Case("valid", _post(image, "image/jpeg", path)) for image in corpus()]


def _raw(random: Random) -> bytes:
    return _post(mutated_image(random), random.choice(CONTENT_TYPES))


def _multipart(random: Random) -> bytes:
    odd = random.random() < 0.4
    parts = []
    for number in range(random.randrange(1, 5)):
        name = random.choice(PART_NAMES) if odd else "image"
        file = random.choice(PART_FILES) if odd else f'; filename="{number}.jpg"'
        parts.append(
            f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"{file}\r\n'
            f"Content-Type: image/jpeg\r\n\r\n".encode("latin-1")
        )
        parts.append(mutated_image(random) + b"\r\n")
    body = bytearray(b"".join(parts) + f"--{BOUNDARY}--\r\n".encode())
    if random.random() < 0.5:
        mutate(random, body, random.randrange(1, 4))
    boundary = random.choice(BOUNDARIES) if random.random() < 0.1 else BOUNDARY
    return _post(bytes(body), f"multipart/form-data; boundary={boundary}")


def _json(random: Random) -> bytes:
    prefixes = ("", "data:image/png;base64,", "data:,") if random.random() < 0.2 else ("",)
    images = [
        random.choice(prefixes) + base64.b64encode(mutated_image(random)).decode()
        for _ in range(random.randrange(1, 4))
    ]
    document: object = {"images": images}
    if random.random() < 0.3:
        odd: object = random.choice((None, 1, [], {}, "\ud800", "====", "\x00", 1e400))
        document = random.choice(
            ({"images": [*images, odd]}, {"images": odd}, {"images": images, "top_k": odd}, odd)
        )
    body = bytearray(json.dumps(document).encode())
    if random.random() < 0.1:
        body = bytearray(b'{"images":' + b"[" * random.choice((10, 1000, 100_000)))
    if random.random() < 0.4:
        mutate(random, body, random.randrange(1, 4))
    return _post(bytes(body), "application/json")


def _query(random: Random) -> bytes:
    pairs = [
        f"{random.choice(NAMES)}={_invalid_text(random)}" for _ in range(random.randrange(1, 4))
    ]
    path = random.choice(("/predict", "/predict", "/models", "/info", "/models/x/layers"))
    query = "?" + random.choice("&&&;?").join(pairs)
    if path == "/predict":
        return _post(mutated_image(random), "image/jpeg", path + query)
    return _request("GET", path + query, {}, b"")


def _headers(random: Random) -> bytes:
    odd = {random.choice(HEADERS): _invalid_text(random) for _ in range(random.randrange(1, 4))}
    path = random.choice(("/predict", "/predict", "/metrics", "/readyz", "/nothing", "/models/%2e"))
    method = random.choice(("POST", "POST", "GET", "PUT", "HEAD", "DELETE", "OPTIONS", "PATCH"))
    return _request(method, path, odd, mutated_image(random) if method == "POST" else b"")


def _http(random: Random) -> bytes:
    """Mutate the request line, the headers or the lengths."""
    request = bytearray(_raw(random)[: random.choice((60, 120, 100_000))])
    headers = request.find(b"\r\n\r\n") + 4
    head = request[:headers] if headers > 4 else request
    mutate(random, head, random.randrange(1, 4))
    return bytes(head) + bytes(request[len(head) :])


KINDS: dict[str, Callable[[Random], bytes]] = {
    "raw": _raw,
    "multipart": _multipart,
    "json": _json,
    "query": _query,
    "headers": _headers,
    "http": _http,
}
WEIGHTS = (60, 12, 12, 8, 6, 2)


def _invalid_text(random: Random) -> str:
    return random.choice(INVALID_TEXT).encode("utf-8").decode("latin-1")


def _post(body: bytes, content_type: str, path: str = "/predict") -> bytes:
    return _request("POST", path, {"Content-Type": content_type}, body)


def _request(method: str, path: str, headers: dict[str, str], body: bytes) -> bytes:
    path = "".join(char if "!" <= char <= "~" else f"%{ord(char):02x}" for char in path)
    lines = [f"{method} {path} HTTP/1.1", "Host: gateway"]
    lines += [f"{name}: {text}" for name, text in headers.items() if name != "Host" or text]
    lines += [f"Content-Length: {len(body)}", "", ""]
    return "\r\n".join(lines).encode("latin-1") + body
