"""Which files of a folder are photos."""

from pathlib import Path

from mobilenet_gateway_client._command.folder import SUFFIXES, list_images

from app.commands import image_files
from models.photos.views import photo_files


def test_the_photos_of_a_folder_are_those_that_the_client_classifies(tmp_path: Path) -> None:
    (tmp_path / "below").mkdir()
    for suffix in (*SUFFIXES, ".JPE", ".txt", ".onnx", ""):
        for folder in (tmp_path, tmp_path / "below"):
            (folder / f"photo{suffix}").touch()
    (tmp_path / ".hidden.jpg").touch()
    found = [path.relative_to(tmp_path).as_posix() for path in photo_files(tmp_path)]
    assert len(found) == 2 * (len(SUFFIXES) + 1)
    assert sorted(found) == list_images(tmp_path, recursive=True).names
    assert image_files.SUFFIXES == SUFFIXES  # the client is a distribution of its own
