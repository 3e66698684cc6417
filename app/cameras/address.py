"""Where frames come from: the kind of a source by its address, and what of it may be shown."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from urllib.parse import SplitResult, unquote, urlsplit

STREAMS = ("rtsp", "rtsps", "rtmp", "rtmps", "srt", "udp", "rtp")
DEVICE = re.compile(r"/dev/(video\d+|v4l/by-(id|path)/[\w.:+-]+)")
SUPPORTED = (
    "http(s)://…, rtsp(s)://… and other streams, /dev/video0, or a folder with its absolute path"
)
AddressKind = Literal["http", "folder", "video", "device"]


@dataclass(frozen=True, slots=True, repr=False)
class Address:
    """An address, with user and password apart from the rest."""

    kind: AddressKind
    url: str  # without user and password
    shown: str  # without query, too
    user: str | None = None
    password: str | None = None

    def __repr__(self) -> str:
        return f"Address({self.shown!r})"


def parse_address(text: str) -> Address:
    """Split an address.

    Raises:
        ValueError: it is none of the supported kinds; the text does not repeat it.
    """
    if text.startswith("/"):
        if DEVICE.fullmatch(text):
            return Address("device", text, text)
        if text.startswith(("/dev/", "/proc/", "/sys/")):
            raise ValueError(f"neither a camera nor a folder of images. Supported: {SUPPORTED}")
        return Address("folder", text, str(Path(text)))
    try:
        parts = urlsplit(text)
        host, port = parts.hostname, parts.port
    except ValueError:
        raise ValueError("not a valid address") from None
    if parts.scheme not in ("http", "https", *STREAMS):
        raise ValueError(f"unknown kind of address. Supported: {SUPPORTED}")
    if not host or re.search(r"[\s\x00-\x1f\x7f]", text):
        raise ValueError("no host, or spaces in it")
    shown_host = f"[{host}]" if ":" in host else host
    netloc = shown_host if port is None else f"{shown_host}:{port}"
    bare = SplitResult(parts.scheme, netloc, parts.path, parts.query, "")
    return Address(
        "http" if parts.scheme in ("http", "https") else "video",
        bare.geturl(),
        bare._replace(query="").geturl(),
        None if parts.username is None else unquote(parts.username),
        None if parts.password is None else unquote(parts.password),
    )
