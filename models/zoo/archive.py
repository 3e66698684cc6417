"""Extract one file from a published `.tgz` archive."""

import tarfile
import zlib
from gzip import BadGzipFile
from pathlib import Path, PurePosixPath
from shutil import copyfileobj

# TensorFlow's archives contain a checkpoint, a frozen graph and text besides the .tflite file: 200
# MB for the widest network.
MAX_UNPACKED_BYTES = 1_000_000_000


class ArchiveError(Exception):
    """An archive is damaged or lacks the expected file."""


def extract_member(archive: Path, member: str, target: Path, limit_bytes: int) -> None:
    """Copy the regular file `member` from a gzipped tar archive to `target`.

    No name in the archive becomes a path, links are not followed, and an archive that would unpack
    to more than MAX_UNPACKED_BYTES is rejected before it does.

    Raises:
        ArchiveError: the archive is damaged or lacks the file, or the file is larger than
            `limit_bytes`.
        OSError: `target` cannot be written.
    """
    try:
        with tarfile.open(archive, "r:gz") as opened:
            for entry in opened:
                if entry.offset_data + entry.size > MAX_UNPACKED_BYTES:
                    raise ArchiveError(f"it unpacks to more than {MAX_UNPACKED_BYTES} bytes")
                if not entry.isreg() or PurePosixPath(entry.name) != PurePosixPath(member):
                    continue
                if entry.size > limit_bytes:
                    raise ArchiveError(f"{member} has {entry.size} bytes, more than {limit_bytes}")
                content = opened.extractfile(entry)
                assert content is not None  # noqa: S101  a regular file has content
                with target.open("wb") as out:
                    copyfileobj(content, out)
                return
    except (tarfile.TarError, EOFError, BadGzipFile, zlib.error) as error:
        raise ArchiveError(f"the archive is damaged ({error})") from error
    raise ArchiveError(f"the archive has no {member}")
