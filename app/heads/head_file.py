"""`NAME.head.npz`: a head beside its base in the model store.

A NumPy archive without pickles: the arrays of the head, its card and the report of how it was
taught, both as UTF-8 JSON. References are stored as int8 with one common scale, which changes a
cosine by less than 0.001.
"""

import io
from collections import Counter
from pathlib import Path
from zipfile import ZipFile

import numpy as np

from app.arrays import Float32Array
from app.card.card import parse_card
from app.errors import CardError, ModelFileError
from app.heads.head import UNKNOWN, Head

SUFFIX = ".head.npz"
MAX_FILE_BYTES = 64 * 2**20
ARRAYS = {  # with the type and number of dimensions
    "weights": ("float32", 2),
    "bias": ("float32", 1),
    "references": ("int8", 2),
    "reference_scale": ("float32", 0),
    "threshold": ("float32", 0),
}
MAX_VALUE = 1e15  # beyond, a product of vectors is no number in float32
ENTRIES = sorted((*ARRAYS, "card", "format", "report"))
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
                if sorted(arrays_by_name.files) != ENTRIES:
                    raise ModelFileError(f"it has the entries {sorted(arrays_by_name.files)}")
                # NumPy returns the bytes of what is no array.
                arrays = {name: np.asarray(arrays_by_name[name]) for name in ENTRIES}
        except (OSError, ModelFileError):
            raise
        except Exception as error:  # numpy and zipfile raise many kinds for a damaged file
            raise ModelFileError(f"not a head: {error}") from error
    if arrays["format"].tolist() != FORMAT:
        raise ModelFileError(f"its format is {arrays['format']}; this version reads {FORMAT}")
    return _head(arrays), _text(arrays["report"])


def _head(arrays: dict[str, np.ndarray]) -> Head:
    card = parse_card(_text(arrays["card"]))
    weights, bias, stored, scale, threshold = (arrays[name] for name in ARRAYS)
    if (
        any((str(arrays[name].dtype), arrays[name].ndim) != kind for name, kind in ARRAYS.items())
        or (len(bias), stored.shape[1]) != weights.shape
        or not all(np.abs(arrays[name]).max(initial=0) < MAX_VALUE for name in ARRAYS)
        or not len(bias)
    ):
        raise ModelFileError("the arrays of the head do not fit together")
    references: Float32Array = stored.astype(np.float32) * scale
    labels = len(bias) + (len(references) > 0)
    if len(card.labels) != labels or (len(references) > 0) != (card.labels[-1] == UNKNOWN):
        raise CardError(f"its model card has {len(card.labels)} labels for {labels} classes")
    if twice := [label for label, count in Counter(card.labels).items() if count > 1]:
        raise CardError(f"its model card has the label {twice[0]!r} more than once")
    if card.base_sha256 is None or len(card.origin.files) != 1:
        raise CardError("its model card names no base")
    return Head(card, weights, bias, references, float(threshold))


def _text_array(text: str) -> np.ndarray:
    return np.frombuffer(text.encode(), np.uint8)


def _text(array: np.ndarray) -> str:
    if array.dtype != np.uint8 or array.ndim != 1:
        raise ModelFileError("a text of the head is not UTF-8")
    return array.tobytes().decode(errors="replace")
