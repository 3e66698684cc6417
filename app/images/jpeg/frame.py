"""The segments of a JPEG's header (ITU-T T.81, annex B), for what Pillow does not tell."""

from collections.abc import Iterator
from typing import NamedTuple

MAX_SEGMENTS = 100_000
SOS, DRI, LOSSLESS, JPEG_LS = 0xDA, 0xDD, 0xC3, 0xF7
FRAMES = frozenset((*range(0xC0, 0xD0), JPEG_LS)) - {0xC4, 0xC8, 0xCC}  # DHT, JPG, DAC
KINDS = {
    0xC5: "Hierarchical", 0xC6: "Hierarchical", 0xC7: "Hierarchical",
    0xCB: "Lossless arithmetic-coded",
    0xCD: "Hierarchical", 0xCE: "Hierarchical", 0xCF: "Hierarchical",
}  # fmt: skip


class FrameHeader(NamedTuple):
    """What the marker SOF and its segment declare."""

    marker: int
    bits: int
    width: int
    height: int
    factors: tuple[tuple[int, int], ...]  # horizontal and vertical, of each component

    @property
    def mcus(self) -> int:
        """Number of MCUs of a scan that has all components."""
        if len(self.factors) == 1:
            return -(-self.width // 8) * -(-self.height // 8)
        across, down = max(h for h, _ in self.factors), max(v for _, v in self.factors)
        return -(-self.width // max(8 * across, 1)) * -(-self.height // max(8 * down, 1))


def segments(data: bytes) -> Iterator[tuple[int, bytes]]:
    """The markers before the first scan that have a segment, and what is in it."""
    at = 2
    for _ in range(MAX_SEGMENTS):
        at = data.find(b"\xff", at)
        if at < 0 or at + 4 > len(data) or data[at + 1] == SOS:
            return
        marker = data[at + 1]
        if marker == 0xFF:  # a fill byte
            at += 1
        elif marker in (0x00, 0x01) or 0xD0 <= marker <= 0xD8:  # without a length
            at += 2
        else:
            behind = at + 2 + int.from_bytes(data[at + 2 : at + 4])
            yield marker, data[at + 4 : behind]
            at = behind


def frame_header(data: bytes) -> FrameHeader | None:
    """Read the first SOF; None if there is none before the first scan."""
    for marker, content in segments(data):
        if marker in FRAMES and len(content) >= 6:
            return FrameHeader(
                marker,
                bits=content[0],
                height=int.from_bytes(content[1:3]),
                width=int.from_bytes(content[3:5]),
                factors=tuple(
                    (byte >> 4, byte & 15) for byte in content[7 : 6 + 3 * content[5] : 3]
                ),
            )
    return None


def restart_interval(data: bytes) -> int:
    """MCUs between two restart markers, 0 without."""
    intervals = [content for marker, content in segments(data) if marker == DRI]
    return int.from_bytes(intervals[-1][:2]) if intervals else 0


def is_lossless(data: bytes) -> bool:
    """Whether it is a lossless JPEG, which libjpeg cannot decode at a reduced size."""
    header = frame_header(data)
    return header is not None and header.marker == LOSSLESS


def unsupported(data: bytes) -> str | None:
    """Name what libjpeg does not decode in this JPEG, if it is that."""
    header = frame_header(data)
    if header is None:
        return None
    if header.marker == JPEG_LS:
        return "JPEG-LS files are not supported."
    if header.marker in KINDS:
        return f"{KINDS[header.marker]} JPEG images are not supported."
    if header.bits != 8 and 2 <= header.bits <= 16:
        return f"JPEG images with {header.bits} bits per sample are not supported."
    if len(header.factors) not in (1, 3, 4):
        return f"JPEG images with {len(header.factors)} components are not supported."
    return None
