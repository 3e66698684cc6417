"""Who may come in, and who may reload."""

from collections.abc import Iterable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.errors import Forbidden, SettingError, Unauthorized
from app.service.auth import Keys, _matches, read_keys
from app.settings import Settings

Headers = list[tuple[bytes, bytes]]


def bearer(key: str) -> Headers:
    return [(b"host", b"gateway"), (b"authorization", b"Bearer " + key.encode())]


def x_api_key(key: str) -> Headers:
    return [(b"x-api-key", key.encode())]


def test_without_keys_everybody_may_ask() -> None:
    Keys([], None).check("/predict", [])
    Keys([], "admin").check("/predict", [])


PROBES = (
    "/healthz", "/readyz", "/v2/health/live", "/v2/health/ready",
    "/inference.GRPCInferenceService/ServerLive", "/inference.GRPCInferenceService/ServerReady",
)  # fmt: skip


@pytest.mark.parametrize("path", PROBES)
def test_health_is_open(path: str) -> None:
    Keys(["key"], None).check(path, [])


@pytest.mark.parametrize(
    "path",
    [
        "/predict", "/metrics", "/models", "/info", "/v2", "/v2/models/m/ready", "/v2/health",
        "/healthz/", "/readyz/../predict", "/HEALTHZ", "healthz", "",
        "/inference.GRPCInferenceService/ModelReady", "/inference.GRPCInferenceService/ModelInfer",
    ],
)  # fmt: skip
def test_nothing_else_is_open(path: str) -> None:
    with pytest.raises(Unauthorized):
        Keys(["key"], None).check(path, [])


@given(st.lists(st.text("abc", min_size=1, max_size=5), min_size=1, max_size=4), st.text("abc"))
def test_exactly_the_keys_that_are_set_are_taken(keys: list[str], sent: str) -> None:
    found = Keys(keys, None)
    for headers in (bearer(sent), x_api_key(sent)):
        if sent in keys:
            found.check("/predict", headers)
        else:
            with pytest.raises(Unauthorized) as refusal:
                found.check("/predict", headers)
            assert refusal.value.headers["WWW-Authenticate"].startswith("Bearer ")


@pytest.mark.parametrize(
    "headers",
    [
        [],
        [(b"authorization", b"key")],
        [(b"authorization", b"Basic key")],
        [(b"authorization", b"Bearer key2")],
        [(b"authorization", b"Bearer ke")],
        [(b"x-api-key", b"KEY")],
        [(b"x-api-key", b"")],
        [(b"cookie", b"key")],
        [(b"x-api-key", b"k\xff")],
    ],
)
def test_anything_else_is_refused(headers: Headers) -> None:
    with pytest.raises(Unauthorized):
        Keys(["key"], "admin").check("/predict", headers)


def test_every_key_is_compared_right_or_not() -> None:
    keys = iter([b"first", b"second", b"third"])
    assert _matches(b"first", keys)
    assert list(keys) == []


def test_the_admin_key_opens_everything_and_others_do_not_reload() -> None:
    keys = Keys(["key"], "admin")
    keys.check("/predict", bearer("admin"))
    keys.check_admin(bearer("admin"))
    keys.check_admin(x_api_key("admin"))
    with pytest.raises(Forbidden, match="admin key"):
        keys.check_admin(bearer("key"))
    with pytest.raises(Unauthorized):
        keys.check_admin([])
    with pytest.raises(Forbidden, match="GATEWAY_ADMIN_KEY"):
        Keys(["key"], None).check_admin(bearer("key"))


def test_white_space_around_a_key_is_no_part_of_it() -> None:
    keys = read_keys(Settings.model_validate({"api_keys": " one\n", "admin_key": "boss\n"}))
    keys.check("/predict", bearer("one"))
    keys.check_admin(bearer("boss"))


@pytest.mark.parametrize(
    "headers",
    [
        [(b"x-api-key", b" key ")],
        [(b"authorization", b"bearer key")],  # RFC 9110, section 11.1: in any case
        [(b"authorization", b"BEARER key")],
        [(b"authorization", b"Bearer  key ")],
        [(b"x-api-key", b""), (b"authorization", b"Bearer key")],
        [(b"authorization", b"Bearer "), (b"x-api-key", b"key")],
    ],
)
def test_a_key_is_found_among_spaces_and_empty_headers(headers: Headers) -> None:
    Keys(["key"], None).check("/predict", headers)


def test_a_byte_order_mark_of_the_file_is_no_part_of_its_first_key(tmp_path: Path) -> None:
    file = tmp_path / "keys"
    file.write_text("one\n", "utf-8-sig")
    read_keys(Settings(api_keys_file=file)).check("/predict", bearer("one"))


def test_keys_come_from_settings_and_file(tmp_path: Path) -> None:
    file = tmp_path / "keys"
    file.write_text("# cameras\n  one  \n\n\t# more\ntwo\n", "utf-8")
    keys = read_keys(Settings(api_keys="three, four", api_keys_file=file))
    for key in ("one", "two", "three", "four"):
        keys.check("/predict", bearer(key))
    for key in ("# cameras", "# more", "three, four"):
        with pytest.raises(Unauthorized):
            keys.check("/predict", bearer(key))


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "has no key"),
        (b"# nothing\n \n", "has no key"),
        (b"\xff\xfe", "Cannot read api_keys_file"),
    ],
)
def test_a_file_without_keys_is_refused(tmp_path: Path, content: bytes, reason: str) -> None:
    file = tmp_path / "keys"
    file.write_bytes(content)
    with pytest.raises(SettingError, match=reason):
        read_keys(Settings(api_keys_file=file))


def test_a_file_that_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingError, match="missing"):
        read_keys(Settings(api_keys_file=tmp_path / "missing"))


@pytest.mark.parametrize("keys", [[""], ["good", ""]])
def test_an_empty_key_is_refused_because_it_would_let_everybody_in(keys: Iterable[str]) -> None:
    with pytest.raises(SettingError, match="api_keys has an empty key"):
        read_keys(Settings(api_keys=tuple(keys)))
