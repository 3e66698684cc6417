"""`NAME.head.npz`: a head beside its base in the model store.

A NumPy archive without pickles: the arrays of the head, its card and the report of how it was
taught, both as UTF-8 JSON. References are stored as int8 with one common scale, which changes a
cosine by less than 0.001.
"""

import io
from pathlib import Path
from zipfile import ZipFile

import numpy as np

from app.arrays import Float32Array
from app.card.card import parse_card
from app.errors import CardError, ModelFileError
from app.heads.head import UNKNOWN, Head

SUFFIX = ".head.npz"
MAX_FILE_BYTES = 64 * 2**20
ENTRIES = (
    "bias",
    "card",
    "format",
    "reference_scale",
    "references",
    "report",
    "threshold",
    "weights",
)
FORMAT = 1


def pack_head(head: Head, report: str) -> bytes:
    """The bytes of a file; `report` is JSON."""
    scale = np.float32(np.abs(head.references).max() / 127) if head.rejects else np.float32(1)
    buffer = io.BytesIO()
    np.savez(
        buffer,
        format=np.int64(FORMAT),
        card=_text_array(head.card.model_dump_json()),
        report=_text_array(report),
        weights=head.weights.astype(np.float32),
        bias=head.bias.astype(np.float32),
        references=np.rint(head.references / scale).astype(np.int8),
        reference_scale=scale,
        threshold=np.float32(head.threshold),
    )
    return buffer.getvalue()


def read_head(path: Path) -> tuple[Head, str]:
    """Read a head, and the report of how it was taught, as JSON.

    Raises:
        ModelFileError: it is not a file of this format, or damaged; the text does not name it.
        CardError: its card is not valid.
        OSError: it cannot be read.
    """
    with path.open("rb") as file:
        try:
            with ZipFile(file) as archive:
                unpacked_bytes = sum(entry.file_size for entry in archive.infolist())
            if unpacked_bytes > MAX_FILE_BYTES:
                raise ModelFileError(f"it has more than {MAX_FILE_BYTES} bytes")
            file.seek(0)
            with np.load(file, allow_pickle=False) as arrays_by_name:
                if sorted(arrays_by_name.files) != sorted(ENTRIES):
                    raise ModelFileError(f"it has the entries {sorted(arrays_by_name.files)}")
                arrays = {name: arrays_by_name[name] for name in ENTRIES}
        except (OSError, ModelFileError):
            raise
        except Exception as error:  # numpy and zipfile raise many kinds for a damaged file
            raise ModelFileError(f"not a head: {error}") from error
    if arrays["format"] != FORMAT:
        raise ModelFileError(f"its format is {arrays['format']}; this version reads {FORMAT}")
    return _head(arrays), _text(arrays["report"])


def _head(arrays: dict[str, np.ndarray]) -> Head:
    card = parse_card(_text(arrays["card"]))
    weights, bias = arrays["weights"], arrays["bias"]
    references: Float32Array = arrays["references"].astype(np.float32) * arrays["reference_scale"]
    shapes = [weights.ndim == references.ndim == 2, weights.dtype == bias.dtype == np.float32]
    if not all(shapes) or bias.shape != weights.shape[:1]:
        raise ModelFileError("the arrays of the head do not fit together")
    if references.shape[1] != weights.shape[1] or not np.isfinite(weights).all():
        raise ModelFileError("the arrays of the head do not fit together")
    labels = len(bias) + (len(references) > 0)
    if len(card.labels) != labels or (len(references) > 0) != (card.labels[-1] == UNKNOWN):
        raise CardError(f"its model card has {len(card.labels)} labels for {labels} classes")
    if card.base_sha256 is None or len(card.origin.files) != 1:
        raise CardError("its model card names no base")
    return Head(card, weights, bias, references, float(arrays["threshold"]))


def _text_array(text: str) -> np.ndarray:
    return np.frombuffer(text.encode(), np.uint8)


def _text(array: np.ndarray) -> str:
    if array.dtype != np.uint8 or array.ndim != 1:
        raise ModelFileError("a text of the head is not UTF-8")
    return array.tobytes().decode(errors="replace")
