"""Pillow's settings hold for the whole process, so only a start of the service changes them."""

import subprocess
import sys
import warnings

import pytest
from PIL import Image

from app.images import pillow_settings

SHOW = (
    "from PIL import Image; import warnings;"
    "print(Image.MAX_IMAGE_PIXELS, any('PIL' in str(each) for each in warnings.filters))"
)


def shown(code: str) -> str:
    command = [sys.executable, "-c", f"{code}; {SHOW}"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def test_an_import_changes_nothing_of_pillow() -> None:
    assert shown("import app.images.decode, app.inference.classify") == "89478485 False\n"
    assert (
        shown("from app.images import pillow_settings; pillow_settings.configure()")
        == "None True\n"
    )


def test_pillow_neither_limits_nor_warns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        pillow_settings.configure()
        assert Image.MAX_IMAGE_PIXELS is None
        warnings.warn_explicit("odd metadata", UserWarning, "x.py", 1, module="PIL.TiffImagePlugin")
        warnings.warn_explicit("ours", UserWarning, "x.py", 1, module="app.images.decode")
    assert [str(one.message) for one in caught] == ["ours"]
