"""A camera in the container: read-only root, no rights, the trimmed Python."""

import shutil
from pathlib import Path
from typing import Any

from tests.app.sample_images import encode, noise
from tests.conftest import ROOT
from tests.container.engine import Container, running
from tests.container.test_run import HARDENED
from tests.processes import until

CAT = ROOT / "examples" / "cat.jpg"
SETTINGS = """[cameras.door]
source = "/photos"
in_a_row = 1
start_probability = 0.3
end_probability = 0.2
recheck_s = 0
"""


def door(container: Container) -> dict[str, Any]:
    with container.client() as client:
        [found] = client.get("/cameras").json()["cameras"]
    assert isinstance(found, dict)
    return found


def test_a_camera_in_a_container_tells_what_it_sees_and_skips_what_stays(
    image: str, tmp_path: Path
) -> None:
    photos, config = tmp_path / "photos", tmp_path / "gateway.toml"
    photos.mkdir(mode=0o755)
    config.write_text(SETTINGS)
    config.chmod(0o644)
    options = (
        *HARDENED, "--env", "GATEWAY_CONFIG=/gateway.toml",
        "--volume", f"{config}:/gateway.toml:ro", "--volume", f"{photos}:/photos:ro",
    )  # fmt: skip
    with running(image, *options) as container:
        until(lambda: door(container)["connected"], "the folder is watched")
        shutil.copy(CAT, photos / "1.jpg")
        until(lambda: door(container)["label"] == "Egyptian cat", "the cat is seen")
        with container.client() as client:  # what the Watch view shows
            assert client.get("/info").json()["cameras"] == ["door"]
            assert client.get("/cameras/door/frame.jpg").content == CAT.read_bytes()
        shutil.copy(CAT, photos / "2.jpg")
        until(lambda: door(container)["frames_unchanged"] == 1, "the same cat is skipped")
        (photos / "3.jpg").write_bytes(encode(noise(640, 480)))
        until(lambda: door(container)["label"] is None, "the cat is gone")
        assert door(container)["error"] is None
        assert door(container)["frames_failed"] == 0
        assert "Traceback" not in container.log
