"""Where the model store is if no setting names it."""

from pathlib import Path

import pytest

from app.settings import Settings
from app.system import data_folder
from tests.conftest import ROOT


@pytest.fixture(autouse=True)
def without_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GATEWAY_STORE", raising=False)
    monkeypatch.delenv("XDG_DATA_HOME", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)


def test_a_checkout_has_its_own_store_wherever_its_command_is_started(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert Settings().store == ROOT / "models" / "store"
    monkeypatch.chdir(ROOT)
    assert Settings().store == Path("models/store")


def test_a_store_below_the_working_folder_comes_first(tmp_path: Path) -> None:
    (tmp_path / "models" / "store").mkdir(parents=True)
    assert Settings().store == Path("models/store")


@pytest.mark.parametrize(
    ("named", "expected"),
    [
        ("", "home/.local/share/mobilenet-gateway/store"),
        ("relative", "home/.local/share/mobilenet-gateway/store"),
        ("/data", "/data/mobilenet-gateway/store"),
    ],
)
def test_an_installed_package_keeps_models_in_the_users_data_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, named: str, expected: str
) -> None:
    packages = tmp_path / "site-packages"
    (packages / "models" / "zoo").mkdir(parents=True)  # a wheel has the package, too
    monkeypatch.setattr(data_folder, "CHECKOUT", packages)
    monkeypatch.setenv("XDG_DATA_HOME", named)
    assert Settings().store == tmp_path / expected


def test_a_named_store_is_used_whatever_the_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GATEWAY_STORE", "elsewhere")
    assert Settings().store == Path("elsewhere")
