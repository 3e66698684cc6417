"""Settings: one list, three sources, nothing silently ignored."""

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from pydantic import ValidationError

from app.environment import CONFIG_VARIABLE, PREFIX, variable
from app.errors import SettingError
from app.images.limits import ImageLimits
from app.settings import SECRET, Settings
from app.settings_sources import load_settings
from app.shown_settings import public_settings, settings_table
from tests.app.cli_runner import run
from tests.conftest import ROOT

NAMES = list(Settings.model_fields)
OTHERS = {
    "capture_below": "0.25",
    "otlp_endpoint": "http://collector:4318",
    "grpc_port": "8001",
    "providers": "cpu",
    "aliases": "gate=m,camera",
    "auto_budget": "max_latency_ms=30",
    "auto_resolutions": "160,192",
}


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in os.environ:
        if name.upper().startswith(PREFIX):
            monkeypatch.delenv(name)


@pytest.fixture
def toml(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A settings file that is in force; the test writes it."""
    path = tmp_path / "gateway.toml"
    monkeypatch.setenv(CONFIG_VARIABLE, str(path))
    return path


def test_the_defaults_are_those_of_the_documentation() -> None:
    settings = load_settings()
    assert (settings.host, settings.port) == ("127.0.0.1", 8000)
    assert settings.store == Path("models/store")
    assert settings.default_model == ""
    assert settings.models == settings.api_keys == ()


def test_the_command_line_wins_over_the_environment_which_wins_over_the_file(
    toml: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    toml.write_text("port = 1\nmax_images = 1\nworkers = 1\n")
    monkeypatch.setenv("GATEWAY_PORT", "2")
    monkeypatch.setenv("GATEWAY_MAX_IMAGES", "2")
    settings = load_settings({"port": "3"})
    assert (settings.port, settings.max_images, settings.workers) == (3, 2, 1)


@pytest.mark.parametrize("name", NAMES)
def test_every_setting_can_stand_in_the_environment(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GATEWAY_TLS_CERT", __file__)
    monkeypatch.setenv("GATEWAY_TLS_KEY", __file__)
    monkeypatch.setenv(variable(name), another(name))
    value = getattr(load_settings(), name)
    assert value != Settings.model_fields[name].default


def another(name: str) -> str:
    """A value that is not the default, as one would type it."""
    field = Settings.model_fields[name]
    if name in OTHERS:
        return OTHERS[name]
    if get_origin(field.annotation) is Literal:
        return str(next(value for value in get_args(field.annotation) if value != field.default))
    if isinstance(field.default, bool):
        return str(not field.default)
    if isinstance(field.default, int | float):
        return str(field.default + 1)
    return __file__


@pytest.mark.parametrize("text", ["a,b", " a , b ,", ["a", "b"]])
def test_names_come_as_a_list_or_with_commas(text: Any) -> None:
    assert load_settings({"models": text}).models == ("a", "b")


@pytest.mark.parametrize(
    ("name", "near"),
    [
        pytest.param("GATEWAY_PROT", "Did you mean GATEWAY_PORT?", id="letters-swapped"),
        pytest.param("GATEWAY_MAX_IMAGE", "Did you mean GATEWAY_MAX_IMAGES?", id="cut"),
        pytest.param("gateway_port", "Did you mean GATEWAY_PORT?", id="lower-case"),
        pytest.param("GATEWAY_XYZZY", "Known settings: GATEWAY_HOST, GATEWAY_PORT", id="far"),
    ],
)
def test_an_unknown_variable_is_refused_with_the_nearest_one(
    name: str, near: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, "1")
    with pytest.raises(SettingError, match=re.escape(f"Unknown setting {name}. {near}")):
        load_settings()


def test_an_unknown_key_of_the_file_is_refused_with_the_nearest_one(toml: Path) -> None:
    toml.write_text("prot = 1\n")
    with pytest.raises(SettingError, match=r"^Unknown setting prot\. Did you mean port\?$"):
        load_settings()


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("port", "abc", "integer"),
        ("port", "65536", "65535"),
        ("max_images", "0", "1"),
        ("workers", "-1", "0"),
        ("allow_untrained", "perhaps", "boolean"),
        ("store", "", "it is empty"),
        ("host", "", "it is empty"),
        ("deadline_ms", "0", "greater than 0"),
        ("deadline_ms", "inf", "finite"),
        ("log_format", "xml", "json"),
        ("tls_cert", "missing.pem", "file"),
    ],
)
def test_a_bad_value_is_refused_with_setting_variable_value_and_reason(
    name: str, value: str, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable(name), value)
    with pytest.raises(SettingError) as caught:
        load_settings()
    text = str(caught.value)
    assert text.startswith(f"{name} ({variable(name)}) is {value!r}: ")
    assert reason in text
    assert "\n" not in text


def test_all_bad_values_are_named_at_once() -> None:
    with pytest.raises(SettingError, match=r"port .* is 'x': .*; workers .* is 'y': "):
        load_settings({"port": "x", "workers": "y"})


def test_a_bad_secret_is_refused_without_saying_it(toml: Path) -> None:
    toml.write_text("admin_key = 12345\n")
    with pytest.raises(SettingError, match=r"admin_key \(GATEWAY_ADMIN_KEY\): ") as caught:
        load_settings()
    assert "12345" not in str(caught.value)


@pytest.mark.parametrize(
    ("given_settings", "reason"),
    [
        pytest.param({"max_images": 9, "queue_limit": 8}, "never be admitted", id="queue"),
        pytest.param({"tls_cert": __file__}, "both tls_cert and tls_key", id="tls"),
        pytest.param({"max_inflight_bytes": 1_000_000}, "never be admitted", id="bytes"),
        pytest.param({"port": 8000, "grpc_port": 8000}, "both 8000", id="ports"),
        pytest.param({"drain_s": 5, "stop_timeout_s": 2}, "cut short", id="stop"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(
    given_settings: dict[str, Any], reason: str
) -> None:
    with pytest.raises(SettingError, match=reason):
        load_settings(given_settings)


@pytest.mark.parametrize(
    "content",
    [pytest.param(b"port = \n", id="no-value"), pytest.param(b"\xff\xfe", id="not-text")],
)
def test_a_file_that_is_not_toml_is_refused_by_its_name(toml: Path, content: bytes) -> None:
    toml.write_bytes(content)
    with pytest.raises(SettingError, match=re.escape(str(toml))):
        load_settings()


@pytest.mark.parametrize("name", ["api_keys", "models"])
def test_a_list_without_a_name_is_refused(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two variables that were never set, put together with a comma, would let everybody in."""
    monkeypatch.setenv(variable(name), ",")
    with pytest.raises(SettingError, match=f"{name}.* but no name"):
        load_settings()
    monkeypatch.setenv(variable(name), "")
    assert getattr(load_settings(), name) == ()


def test_a_file_that_is_not_there_is_refused_by_its_name(toml: Path) -> None:
    with pytest.raises(SettingError, match=re.escape(f"{CONFIG_VARIABLE} names {toml}")):
        load_settings()


def test_settings_cannot_be_changed() -> None:
    settings = load_settings()
    with pytest.raises(ValidationError, match="frozen"):
        settings.port = 1  # type: ignore[misc]  # frozen: that is the test


def test_the_limits_of_an_image_are_as_they_were_set() -> None:
    assert ImageLimits.from_settings(Settings()) == ImageLimits()
    given = Settings(max_pixels=5000, min_side_pixels=9)
    assert ImageLimits.from_settings(given) == ImageLimits(max_pixels=5000, min_side=9)


def test_a_dotenv_file_of_the_current_folder_is_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".env").write_text("GATEWAY_PORT=1\n")
    monkeypatch.chdir(tmp_path)
    assert load_settings().port == 8000


def test_a_file_of_a_setting_that_cannot_be_read_is_named() -> None:
    name = "n" * 300 + ".pem"  # longer than any file system allows
    with pytest.raises(SettingError) as fault:
        load_settings({"tls_cert": name})
    assert name in str(fault.value)
    assert "None" not in str(fault.value)


def test_nothing_is_read_at_import() -> None:
    environment = {**os.environ, "GATEWAY_PORT": "not a port", "GATEWAY_UNKNOWN": "1"}
    code = "import app.http.application, app.commands.cli, models.commands.cli"
    subprocess.run([sys.executable, "-c", code], env=environment, cwd=ROOT, check=True)


def test_secrets_are_shown_only_as_set_or_not() -> None:
    shown = public_settings(Settings.model_validate({"api_keys": "one,two"}))
    assert shown.keys() == Settings.model_fields.keys()
    assert (shown["api_keys"], shown["admin_key"]) == ("set", "not set")
    keys = {name for name in NAMES if name.endswith(("key", "keys"))}
    assert keys == {*SECRET, "tls_key", "generate_key"}


@pytest.mark.unmeasured
@hypothesis_settings(deadline=None)
@given(
    st.text(min_size=1).filter(lambda name: name.isprintable() and name not in NAMES),
    st.text(max_size=20),
)
def test_no_unknown_setting_is_ever_taken(name: str, value: str) -> None:
    with pytest.raises(SettingError, match="Unknown setting"):
        load_settings({name: value})


@hypothesis_settings(deadline=None)
@given(st.integers())
def test_a_port_is_taken_exactly_if_it_is_one(port: int) -> None:
    if 0 <= port <= 65535:
        assert load_settings({"port": str(port)}).port == port
        return
    with pytest.raises(SettingError, match=f"is '{port}'"):
        load_settings({"port": str(port)})


def test_the_docs_have_the_table_of_settings() -> None:
    page = (ROOT / "docs" / "settings.md").read_text("utf-8")
    [found] = re.findall(r"<!-- settings -->\n(.*?)\n<!-- /settings -->", page, re.DOTALL)
    assert found == settings_table(), "docs/settings.md is out of date: run `make docs`"


@pytest.mark.parametrize("name", NAMES)
def test_the_table_names_variable_default_and_use(name: str) -> None:
    field = Settings.model_fields[name]
    [row] = [line for line in settings_table().splitlines() if line.startswith(f"| `{name}` |")]
    assert f"`{variable(name)}`" in row
    assert field.description is not None
    assert row.endswith(f"| {field.description} |")


def test_the_help_of_serve_names_every_setting(capsys: pytest.CaptureFixture[str]) -> None:
    text = " ".join(run(capsys, "serve", "--help").out.split())
    for name, field in Settings.model_fields.items():
        assert f"--{name.replace('_', '-')}" in text
        assert f"[env: {variable(name)}]" in text
        assert field.description is not None
        assert field.description in text


@pytest.mark.parametrize(
    ("variable", "value", "said"),
    [
        ("GATEWAY_AUTO_BUDGET", "max_latency=30", "max_latency_ms=..."),
        ("GATEWAY_AUTO_BUDGET", "max_latency_ms=0", "greater than 0"),
        ("GATEWAY_AUTO_BUDGET", "min_top1=1,min_top1=2", "given twice"),
        ("GATEWAY_AUTO_RESOLUTIONS", "100", "multiple of 32"),
        ("GATEWAY_AUTO_RESOLUTIONS", "small", "integer"),
    ],
)
def test_a_bad_default_for_automatic_choices_ends_the_start(
    variable: str, value: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(SettingError, match=re.escape(said)):
        load_settings()


LINKS = {  # of Services named `gateway` and `gateway-grpc`, as Kubernetes 1.33 sets them
    "GATEWAY_SERVICE_HOST": "10.96.0.7",
    "GATEWAY_SERVICE_PORT": "80",
    "GATEWAY_SERVICE_PORT_HTTP": "80",
    "GATEWAY_PORT": "tcp://10.96.0.7:80",
    "GATEWAY_PORT_80_TCP": "tcp://10.96.0.7:80",
    "GATEWAY_PORT_80_TCP_PROTO": "tcp",
    "GATEWAY_PORT_80_TCP_PORT": "80",
    "GATEWAY_PORT_80_TCP_ADDR": "10.96.0.7",
    "GATEWAY_GRPC_SERVICE_HOST": "10.96.0.8",
    "GATEWAY_GRPC_PORT": "tcp://10.96.0.8:8001",
    "GATEWAY_GRPC_PORT_8001_TCP_ADDR": "10.96.0.8",
}


def test_addresses_of_other_services_are_no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in LINKS.items():
        monkeypatch.setenv(name, value)
    settings = load_settings()
    assert (settings.port, settings.grpc_port) == (8000, None)
    monkeypatch.setenv("GATEWAY_PORT", "9000")
    assert load_settings().port == 9000


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("GATEWAY_PORT", "http://10.96.0.7:80"),
        ("GATEWAY_SERVICE_HOSTS", "x"),
        ("GATEWAY_HOSTS", "x"),
    ],
)
def test_what_only_resembles_them_is_an_error(
    name: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(SettingError, match=name):
        load_settings()
