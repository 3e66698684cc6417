"""A head of the store, served as a model of its own name on the session of its base."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from app.arrays import Float32Array, Uint8Array
from app.card.card import EMBEDDING, PROBABILITIES
from app.errors import ModelFileError
from app.heads.head import Head
from app.heads.head_file import read_head
from app.model.files import FileStamp
from app.model.model import Model, State
from app.settings import Provider


@dataclass(slots=True, eq=False)
class HeadModel(Model):
    """A head and the loaded model that it reads embeddings of."""

    head: Head
    base: Model

    @property
    def state(self) -> State:
        return self.base.state

    def load(self) -> None:
        self.base.load()

    @property
    def providers(self) -> list[Provider]:
        return self.base.providers

    @property
    def any_batch(self) -> bool:
        return self.base.any_batch

    @property
    def outputs(self) -> dict[str, int]:
        return {PROBABILITIES: len(self.card.labels), EMBEDDING: self.base.outputs[EMBEDDING]}

    def run(
        self, outputs: Sequence[str], images: Uint8Array, *, wide: bool = False
    ) -> Float32Array:
        embeddings = self.base.run((EMBEDDING,), images, wide=wide)
        found = [
            embeddings if name == EMBEDDING else self.head.probabilities(embeddings)
            for name in outputs
        ]
        return found[0] if len(found) == 1 else np.concatenate(found, axis=1)

    def release_memory(self) -> None:
        """The memory is the base's, which releases it."""


def weight_bytes(model: Model) -> int:
    """The size of the files that hold a model's weights; a head needs those of its base, too."""
    return model.file_bytes + (model.base.file_bytes if isinstance(model, HeadModel) else 0)


class BaseFiles:
    """The hashes of base files, each computed once for a version of the file."""

    def __init__(self) -> None:
        self._hashes: dict[FileStamp, str] = {}

    def sha256(self, path: Path) -> str:
        """The hash of a file's content.

        Raises:
            OSError: it cannot be read.
        """
        stamp = FileStamp.of(path)
        if stamp not in self._hashes:
            with path.open("rb") as file:
                self._hashes[stamp] = hashlib.file_digest(file, "sha256").hexdigest()
        return self._hashes[stamp]


def load_head_model(
    path: Path, models: Mapping[str, tuple[Model, Path]], files: BaseFiles
) -> HeadModel:
    """Load a head onto its base, which is one of the loaded `models` with their files, by name.

    Raises:
        ModelFileError: the file cannot be read or is no head, or its base is not loaded; the text
            names it.
    """
    try:
        head, _ = read_head(path)
        file_bytes = path.stat().st_size
        paths = {name: file for name, (_, file) in models.items()}
        base, _ = models[find_base(head, paths, files)]
        if base.outputs.get(EMBEDDING) != head.weights.shape[1]:
            raise ModelFileError(f"it takes other embeddings than those of {base.name}")
    except OSError as error:
        raise ModelFileError(f"{path}: {error.strerror or error}") from error
    except ModelFileError as error:
        raise type(error)(f"{path}: {error}") from error
    return HeadModel(head.card, file_bytes, None, head, base)


def find_base(head: Head, files: Mapping[str, Path], hashes: BaseFiles) -> str:
    """The name of the file, among those of models, that has the hash of the head's card.

    Raises:
        ModelFileError: none has it.
        OSError: a file cannot be read.
    """
    name = head.base_name
    for model in sorted(files, key=lambda model: model != name):
        if hashes.sha256(files[model]) == head.card.base_sha256:
            return model
    if name in files:
        raise ModelFileError(
            f"its base {name} is another file than the one that it was taught on. Teach it again."
        )
    raise ModelFileError(
        f"its base {name} is not loaded. Put its file into the store, or name it in the "
        "setting `models`."
    )
