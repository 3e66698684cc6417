"""A random API key that the service writes into a file of its own."""

import logging
import os
from contextlib import suppress
from pathlib import Path

from app.environment import variable
from app.errors import SettingError
from app.system.atomic_file import os_errors_with_path, sync_folder

log = logging.getLogger(__name__)
NAME = "api.key"
KEY_BYTES = 32


def ensure_key(path: Path) -> None:
    """Create the file with a random key, for its owner only; a file that exists stays as it is.

    Raises:
        SettingError: the file cannot be written, such as on a full disk or a read-only volume.
    """
    try:
        with os_errors_with_path(path):
            created = _create(path)
    except OSError as error:
        raise SettingError(
            f"Cannot write a generated key to {path}: {error.strerror}. Set api_keys_file "
            f"({variable('api_keys_file')}) to a path on a writable volume, or set the key itself "
            f"with {variable('api_keys')}."
        ) from error
    if created:
        log.warning("Created an API key in %s. Every request needs it from now on.", path)
    else:
        log.info("The API key is in %s.", path)


def _create(path: Path) -> bool:
    """Create the file with its key in one step; False if it exists, or another start was faster."""
    if os.path.lexists(path):
        return False
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{os.getpid()}.{os.urandom(4).hex()}")
    try:
        with open(part, "xb", opener=_for_the_owner_only) as file:
            file.write(os.urandom(KEY_BYTES).hex().encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())
        os.link(part, path)
    except FileExistsError:
        return False
    finally:
        with suppress(OSError):
            part.unlink()
    sync_folder(path.parent)
    return True


def _for_the_owner_only(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)
