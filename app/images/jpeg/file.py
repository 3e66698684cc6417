"""A JPEG as Pillow opens it, decoded no larger than needed, and the signs that data was lost."""

import io

from PIL.JpegImagePlugin import JpegImageFile

from app.images.jpeg.plain import GREY, LAST_BYTES

JPEG_START = b"\xff\xd8\xff"
RESTART_INTERVAL = b"\xff\xdd\x00\x04"


class JpegFile(JpegImageFile):
    """An opened JPEG."""

    scan_at: int  # the first byte of the first scan's data
    full_size: tuple[int, int]

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.end_was_read = False
        super().__init__(io.BytesIO(data))

    def _open(self) -> None:
        super()._open()
        assert self.fp is not None  # noqa: S101  Pillow types it as optional
        self.scan_at, self.full_size = self.fp.tell(), self.size

    def _read_dpi_from_exif(self) -> None:
        """Do nothing: Pillow's method takes longer than the rest and fails on bad EXIF."""

    def load_read(self, read_bytes: int) -> bytes:
        """Read the last bytes of the file apart from the rest, to see whether they are needed."""
        assert self.fp is not None  # noqa: S101  Pillow types it as optional
        left = len(self.data) - LAST_BYTES - self.fp.tell()
        self.end_was_read = self.end_was_read or left <= 0
        return self.fp.read(min(read_bytes, left) if left > 0 else read_bytes)

    def shrink(self, side: int) -> float:
        """Decode to the smallest image with both sides at least `side`.

        Returns the exact scale; the size of the reduced image is rounded up.
        """
        drafted = self.draft(self.mode, (side, side))
        return drafted[1][2] / self.full_size[0] if drafted else 1

    def bytes_per_pixel(self, factor: float) -> int:
        """Maximum memory that decoding at this scale takes per pixel of the full image."""
        if "progressive" in self.info:
            return 7 if factor < 1 and self.mode != "CMYK" else 12
        return 1 if factor < 1 else 4

    @property
    def ends_grey(self) -> bool:
        """Whether the last pixel is what libjpeg fills in when the data ends before the image."""
        pixel = self.getpixel((self.width - 1, self.height - 1))
        return GREY.issuperset(pixel if isinstance(pixel, tuple) else (pixel,))

    @property
    def may_lack_data(self) -> bool:
        """Whether something about the decoded image or its markers calls for `jpeg.loss`."""
        return (
            not self.end_was_read
            or "progressive" in self.info
            or self.data.find(RESTART_INTERVAL, 0, self.scan_at) >= 0
            or self.ends_grey
        )
