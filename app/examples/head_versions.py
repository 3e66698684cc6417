"""The file of a head that is served, the one before it, and when each was taught on what."""

import hashlib
import json
import shutil
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from app.system.atomic_file import atomic_write, sync_folder

PREVIOUS, TRAINED, TAUGHT = "previous", "trained", "taught.json"


@dataclass(frozen=True, slots=True)
class Lesson:
    """When a head was taught, and the fingerprint of the examples that it was taught on."""

    taught_at: str
    examples: str


@dataclass(frozen=True, slots=True)
class HeadVersions:
    """The files of one head: `path`, which is served, and those in `folder`.

    `trained` is what a training writes. A swap copies the served file to `previous` and renames
    `trained`, so there is a whole head at `path` at any moment. The lessons are found by the hash
    of their head's file, and are written before it is served.
    """

    path: Path
    folder: Path

    @property
    def trained(self) -> Path:
        return self.folder / TRAINED

    @property
    def taught(self) -> bool:
        return self.path.exists()

    @property
    def can_undo(self) -> bool:
        return (self.folder / PREVIOUS).exists()

    def lesson(self) -> Lesson | None:
        """The lesson of the served head; None if it is unknown."""
        with suppress(OSError):
            return self._lessons().get(_sha256(self.path))
        return None

    def swap_in(self, fingerprint: str) -> None:
        """Serve what was trained on examples with this fingerprint.

        Raises:
            OSError: a file cannot be written; the old head still serves.
        """
        known = self._lessons()
        kept = {_sha256(self.path)} if self.taught else set()
        taught_at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        lessons = {sha256: lesson for sha256, lesson in known.items() if sha256 in kept}
        lessons[_sha256(self.trained)] = Lesson(taught_at, fingerprint)
        with atomic_write(self.folder / TAUGHT) as file:
            fields = {
                sha256: {"taught_at": one.taught_at, "examples": one.examples}
                for sha256, one in lessons.items()
            }
            file.write(json.dumps(fields).encode())
        if self.taught:
            with self.path.open("rb") as served, atomic_write(self.folder / PREVIOUS) as file:
                shutil.copyfileobj(served, file)
        sync_folder(self.folder)
        self.trained.replace(self.path)
        sync_folder(self.path.parent)

    def undo(self) -> None:
        """Serve the head before the last training again, once.

        Raises:
            OSError: the file cannot be renamed.
        """
        (self.folder / PREVIOUS).replace(self.path)
        sync_folder(self.path.parent)
        sync_folder(self.folder)

    def _lessons(self) -> dict[str, Lesson]:
        try:
            fields: dict[str, dict[str, Any]] = json.loads((self.folder / TAUGHT).read_bytes())
            return {sha256: Lesson(**one) for sha256, one in fields.items()}
        except (OSError, ValueError, TypeError, AttributeError):
            return {}


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
