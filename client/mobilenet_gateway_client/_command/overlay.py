"""The image that shows where a label comes from."""

from pathlib import Path

from mobilenet_gateway_client._command.formats import OutputError
from mobilenet_gateway_client._command.rows import Row


def write_overlay(row: Row, folder: Path) -> None:
    """Write the overlay of a row as `FILE.png` below the folder; models without maps have none.

    Raises:
        OutputError: it cannot be written.
    """
    overlay = (row.classification.explanation or {}).get("overlay")
    if overlay is None:
        return
    path = folder / f"{row.file}.png"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(overlay)
    except OSError as error:
        raise OutputError(f"{error.filename or path}: {error.strerror}") from error
