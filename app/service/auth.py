"""API keys: who may use the service, and who may administer it."""

import hmac
from collections.abc import Iterable
from pathlib import Path

from app.errors import Forbidden, SettingError, Unauthorized
from app.paths import PROBES
from app.settings import Settings
from app.wire import Headers


class Keys:
    """Checks the keys of requests, in a time that does not depend on the characters that match."""

    def __init__(self, keys: Iterable[str], admin_key: str | None) -> None:
        self._keys = [key.encode() for key in keys]
        self.required = bool(self._keys)
        self._admin_key = admin_key.encode() if admin_key else None
        self._open_paths = PROBES

    def exempt(self, paths: frozenset[str]) -> None:
        """Let requests for these paths pass without a key."""
        self._open_paths |= paths

    def check(self, path: str, headers: Headers) -> None:
        """Let a request pass.

        Raises:
            Unauthorized: the path needs a key and the request has no valid one.
        """
        if not self.required or path in self._open_paths:
            return
        accepted = [*self._keys, self._admin_key] if self._admin_key else self._keys
        if not _matches(_sent_key(headers), accepted):
            raise Unauthorized(
                "Send an API key as `Authorization: Bearer KEY` or `X-API-Key: KEY`."
            )

    def check_admin(self, headers: Headers) -> None:
        """Let an administrator pass.

        Raises:
            Forbidden: no admin key is set, or another key was sent.
            Unauthorized: no key was sent.
        """
        if self._admin_key is None:
            raise Forbidden("This is disabled. Set GATEWAY_ADMIN_KEY to enable it.")
        key = _sent_key(headers)
        if not key:
            raise Unauthorized("Send the admin key as `Authorization: Bearer KEY`.")
        if not _matches(key, [self._admin_key]):
            raise Forbidden("This needs the admin key.")


def read_keys(settings: Settings) -> Keys:
    """Collect the keys from the settings and their file, which may have to be created.

    Raises:
        SettingError: the file cannot be read or written or holds no key, or a key is empty.
    """
    keys = [key.get_secret_value() for key in settings.api_keys]
    if not all(keys):
        raise SettingError("api_keys has an empty key, which would admit everybody.")
    file = settings.api_keys_file
    if settings.generate_key and not keys:
        from app.service import generated_key

        file = file or settings.store / generated_key.NAME
        generated_key.ensure_key(file)
    if file:
        keys += _read_file(file)
    admin = settings.admin_key.get_secret_value() if settings.admin_key else None
    return Keys(keys, admin)


def _read_file(path: Path) -> list[str]:
    try:
        lines = path.read_text("utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise SettingError(f"Cannot read api_keys_file {path}: {error}") from error
    keys = [line for line in map(str.strip, lines) if line and not line.startswith("#")]
    if not keys:
        raise SettingError(f"api_keys_file {path} has no key. Write a key on each line.")
    return keys


def _sent_key(headers: Headers) -> bytes:
    for name, value in headers:
        if name == b"authorization" and value[:7].lower() == b"bearer ":
            value = value[7:]
        elif name != b"x-api-key":
            continue
        if key := value.strip():
            return key
    return b""


def _matches(key: bytes, accepted: Iterable[bytes]) -> bool:
    """Compare with every accepted key, even after a match, so that the time reveals nothing."""
    return sum(hmac.compare_digest(key, one) for one in accepted) > 0
