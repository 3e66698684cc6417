"""Hashes of files, and those that a first pull recorded."""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from models.files.atomic_file import placing

LINE = re.compile(r"([0-9a-f]{64})  (\S.*)")


class BadRecord(ValueError):
    """A file of recorded hashes has a malformed line; the text says which."""


@dataclass(frozen=True, slots=True)
class HashRecord:
    """Hashes by file name, in the format of `sha256sum`: `sha256sum -c` checks it too.

    It stands for files whose publishers give no hash. What was downloaded first is what is
    expected from then on, so a file that changes later is noticed.
    """

    path: Path

    def read(self) -> dict[str, str]:
        """SHA-256 by file name; nothing if nothing was recorded.

        Raises:
            BadRecord: a line is not a hash and a name.
        """
        found = {}
        lines = self.path.read_text("utf-8").splitlines() if self.path.exists() else []
        for number, line in enumerate(lines, start=1):
            if not (parts := LINE.fullmatch(line)):
                raise BadRecord(f"{self.path}, line {number} is not a SHA-256 and a file name")
            found[parts[2]] = parts[1]
        return found

    def add(self, hashes: Mapping[str, str]) -> None:
        """Record more hashes; the file changes in one step."""
        lines = [
            f"{sha256}  {name}\n" for name, sha256 in sorted({**self.read(), **hashes}.items())
        ]
        with placing(self.path) as file:
            file.write("".join(lines).encode())


def sha256_of(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
