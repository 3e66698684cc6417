"""Models as KServe mounts them: read-only, in Triton's layout, asked for by another name."""

import shutil
from pathlib import Path

from tests.app.sample_images import encode, noise
from tests.conftest import SMALL_V2
from tests.container.engine import running
from tests.container.test_run import HARDENED


def test_mounted_models_answer_by_the_name_of_their_service(
    image: str, store: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "models"
    (folder / "gate" / "1").mkdir(parents=True)
    shutil.copy(store / f"{SMALL_V2}.onnx", folder / "gate" / "1" / "model.onnx")
    for path in (folder, *folder.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)
    variables = {
        "GATEWAY_STORE": "/mnt/models",
        "GATEWAY_ALIASES": "isvc",
        "GATEWAY_ALLOW_UNTRAINED": "true",
    }
    options = [f"--env={name}={value}" for name, value in variables.items()]
    mount = f"--volume={folder}:/mnt/models:ro"
    with running(image, *HARDENED, *options, mount) as container, container.client() as client:
        assert client.get("/v2/models/isvc").json()["name"] == "isvc"
        answer = client.post(
            "/v2/models/isvc/infer",
            content=encode(noise()),
            headers={"Inference-Header-Content-Length": "0"},
        )
        assert answer.status_code == 200
        assert answer.json()["model_name"] == "isvc"
        assert client.post("/predict", content=encode(noise())).json()["model"] == SMALL_V2
        assert "Traceback" not in container.log
