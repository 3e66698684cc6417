"""Whether an image file is all there, by its own structure."""

import mmap

JPEG_START, JPEG_END, JPEG_SCAN = b"\xff\xd8", b"\xff\xd9", 0xDA
PNG_START, PNG_END = b"\x89PNG\r\n\x1a\n", b"IEND\xaeB`\x82"


def is_whole(data: bytes) -> bool:
    """Whether a JPEG, PNG or WebP is complete; of other formats it is not known."""
    if data.startswith(JPEG_START):
        return is_whole_jpeg(data, 0, len(data))
    if data.startswith(PNG_START):
        return data.endswith(PNG_END)
    if data.startswith(b"RIFF") and data[8:12] == b"WEBP":
        return len(data) >= 8 + int.from_bytes(data[4:8], "little")
    return False


def is_whole_jpeg(data: bytes | mmap.mmap, begin: int, end: int) -> bool:
    """Whether a JPEG ends here: with its end marker, which is not that of a thumbnail in it."""
    if not data[max(begin, end - 4) : end].rstrip(b"\r\n\0").endswith(JPEG_END):
        return False
    at = begin + len(JPEG_START)
    while at + 4 <= end and data[at] == 0xFF:
        if data[at + 1] == JPEG_SCAN:
            return True
        at += 2 + int.from_bytes(data[at + 2 : at + 4], "big")
    return False
