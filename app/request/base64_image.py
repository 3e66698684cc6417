"""Images in base64, as clients of every kind write it."""

import binascii

from app.errors import BadRequest

# URL-safe letters to the standard ones (RFC 4648, section 5).
_STANDARD = bytes.maketrans(b"-_", b"+/")
_LINE_BREAKS = b" \t\r\n"  # Android's Base64.DEFAULT and Python's encodebytes wrap lines


def from_base64(text: str, name: str) -> bytes:
    """Decode an image in base64; `name` says where it stood.

    Takes the standard and the URL-safe alphabet, wrapped lines, missing padding and data: URLs.

    Raises:
        BadRequest: it is not base64.
    """
    if text[:5].lower() == "data:":
        head, _, text = text.partition(",")
        if not head.lower().endswith(";base64"):
            raise BadRequest(f"{name} is a data: URL, but not in base64.")
    try:
        letters = text.encode("ascii").translate(_STANDARD, delete=_LINE_BREAKS)
        unpadded = letters.rstrip(b"=") if letters[-3:] != b"===" else letters
        return binascii.a2b_base64(unpadded + b"=" * (-len(unpadded) % 4), strict_mode=True)
    except (binascii.Error, UnicodeEncodeError):
        raise BadRequest(f"{name} is not base64.") from None
