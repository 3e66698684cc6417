"""JSON and text forms that were sent in place of an image."""

from app.errors import NotAnImage


def check_body(body: bytes, content_type: str) -> None:
    """Check a raw body that starts like JSON, or whose content type is that of a text form.

    `curl -d @FILE` removes line ends and zero bytes from the file, and every image has zero bytes.

    Raises:
        NotAnImage: it is not an image; the text says how to send it.
    """
    if body.lstrip().startswith(b"{"):
        raise NotAnImage(
            f"The body looks like JSON, but its content type is {content_type}. "
            "Send it with `Content-Type: application/json`."
        )
    if body and b"\0" not in body:
        raise NotAnImage(
            f"The body is text of type {content_type}, or an image without its line ends and zero "
            "bytes, which `curl -d @FILE` removes. Send the file with `curl --data-binary @FILE`."
        )
