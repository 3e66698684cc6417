"""The key that the service creates for itself."""

import os
import re
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest
from pydantic import SecretStr

from app.errors import SettingError, Unauthorized
from app.service.auth import read_keys
from app.service.generated_key import ensure_key
from app.settings import Settings
from tests.conftest import SMALL_V1
from tests.full_disk import full_disk
from tests.processes import running
from tests.robustness.stores import copied

REQUEST = "/predict"
EVERY_ADDRESS = "0.0.0.0"  # noqa: S104  # to hear of it in the log


def accepts(settings: Settings, key: str) -> bool:
    try:
        read_keys(settings).check(REQUEST, [(b"x-api-key", key.encode())])
    except Unauthorized:
        return False
    return True


def test_a_new_key_is_random_and_only_its_owner_can_read_it(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        for name in ("a.key", "b.key"):
            ensure_key(tmp_path / name)
    finally:
        os.umask(before)
    first, second = ((tmp_path / name).read_text("utf-8") for name in ("a.key", "b.key"))
    assert re.fullmatch(r"[0-9a-f]{64}\n", first)
    assert first != second
    assert stat.S_IMODE((tmp_path / "a.key").stat().st_mode) == 0o600
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.key", "b.key"]


def test_the_key_is_in_the_store_and_a_second_start_keeps_it(tmp_path: Path) -> None:
    settings = Settings(store=tmp_path, generate_key=True)
    assert read_keys(settings).required
    key = (tmp_path / "api.key").read_text("utf-8").strip()
    assert accepts(settings, key)
    assert not accepts(settings, "another")
    assert (tmp_path / "api.key").read_text("utf-8").strip() == key


def test_a_file_of_keys_is_created_where_it_is_named_and_kept_as_it_is(tmp_path: Path) -> None:
    file = tmp_path / "new" / "keys.txt"
    settings = Settings(store=tmp_path, generate_key=True, api_keys_file=file)
    assert read_keys(settings).required
    assert file.is_file()
    file.write_text("# mine\nchosen\n", "utf-8")
    assert accepts(settings, "chosen")
    assert file.read_text("utf-8") == "# mine\nchosen\n"
    assert not (tmp_path / "api.key").exists()


def test_no_key_is_created_beside_others_or_unasked(tmp_path: Path) -> None:
    given = Settings(store=tmp_path, generate_key=True, api_keys=(SecretStr("mine"),))
    assert accepts(given, "mine")
    assert not read_keys(Settings(store=tmp_path)).required
    assert list(tmp_path.iterdir()) == []


def test_of_starts_at_once_all_have_the_same_key(tmp_path: Path) -> None:
    at_once = Barrier(8)

    def start(_: int) -> str:
        at_once.wait()
        ensure_key(tmp_path / "api.key")
        return (tmp_path / "api.key").read_text("utf-8")

    with ThreadPoolExecutor(8) as pool:
        keys = set(pool.map(start, range(8)))
    assert len(keys) == 1
    assert len(keys.pop()) == 65
    assert [path.name for path in tmp_path.iterdir()] == ["api.key"]


def test_a_full_disk_is_named_and_leaves_nothing_behind(tmp_path: Path) -> None:
    path = tmp_path / "api.key"
    with full_disk(10), pytest.raises(SettingError) as fault:
        ensure_key(path)
    assert str(fault.value).startswith(f"Cannot write a generated key to {path}: File too large. ")
    assert "GATEWAY_API_KEYS_FILE" in str(fault.value)
    assert list(tmp_path.iterdir()) == []


def test_an_empty_file_is_not_filled_but_named(tmp_path: Path) -> None:
    (tmp_path / "api.key").touch()
    with pytest.raises(SettingError, match=r"api\.key has no key"):
        read_keys(Settings(store=tmp_path, generate_key=True))


def test_a_folder_that_cannot_be_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    place = tmp_path / "file" / "keys" / "api.key"
    with pytest.raises(SettingError, match=re.escape(f"{place}: Not a directory. Set api_keys_")):
        read_keys(Settings(store=tmp_path, generate_key=True, api_keys_file=place))


def test_a_service_creates_its_key_says_where_and_never_shows_it(
    store: Path, tmp_path: Path
) -> None:
    folder = copied(store, tmp_path / "store")
    settings = {"host": EVERY_ADDRESS, "generate_key": "true", "log_level": "debug"}
    keys = []
    for said in ("Created an API key in", "The API key is in"):
        with running(folder, models=SMALL_V1, **settings) as service, service.client() as client:
            key = (folder / "api.key").read_text("utf-8").strip()
            assert client.get("/info").status_code == 401
            answer = client.get("/info", headers={"X-API-Key": key})
            assert answer.status_code == 200
            assert f"{said} {folder / 'api.key'}." in service.log
            assert key not in service.log + answer.text
            assert "NO API KEY" not in service.log
        keys.append(key)
    assert keys[0] == keys[1]
