"""SHA-256 of files, and the record of those that were downloaded without a published hash."""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from app.system.atomic_file import atomic_write

RECORD_LINE = re.compile(r"([0-9a-f]{64})  (\S.*)")


class MalformedRecord(ValueError):
    """The record of hashes has a malformed line; the message names it."""


@dataclass(frozen=True, slots=True)
class HashRecord:
    """Hashes by file name as of the first download, in the format that `sha256sum -c` reads."""

    path: Path

    def read(self) -> dict[str, str]:
        """SHA-256 by file name; empty if there is no record yet.

        Raises:
            MalformedRecord: a line is not a hash and a name.
        """
        found = {}
        lines = self.path.read_text("utf-8").splitlines() if self.path.exists() else []
        for number, line in enumerate(lines, start=1):
            if not (parts := RECORD_LINE.fullmatch(line)):
                raise MalformedRecord(
                    f"{self.path}, line {number} is not a SHA-256 and a file name."
                )
            found[parts[2]] = parts[1]
        return found

    def add(self, hashes: Mapping[str, str]) -> None:
        lines = [
            f"{sha256}  {name}\n" for name, sha256 in sorted({**self.read(), **hashes}.items())
        ]
        with atomic_write(self.path) as file:
            file.write("".join(lines).encode())


def sha256_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
