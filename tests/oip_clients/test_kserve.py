"""Scripts for KServe's inference clients, with only the address and the model changed."""

from pathlib import Path

import numpy as np
import pytest

from tests.conftest import SMALL_V1
from tests.oip_clients.conftest import ALIAS, BATCH, Service
from tests.oip_clients.environment import answer_of


@pytest.mark.parametrize("model", [SMALL_V1, ALIAS])
@pytest.mark.parametrize("protocol", ["http", "grpc"])
def test_a_hundred_files_get_the_answers_of_predict_and_pixels_are_answered(
    service: Service, photos: Path, protocol: str, model: str
) -> None:
    address = f"http://{service.http_address}" if protocol == "http" else service.grpc_address
    answers = answer_of("kserve_classify.py", protocol, address, model, photos)
    form = [("image", file.read_bytes()) for file in sorted(photos.iterdir())]
    response = service.http.post("/predict?top_k=3", files=form)
    expected = [
        [[one["class_id"], one["probability"]] for one in row["predictions"]]
        for row in response.json()["results"]
    ]
    assert len(answers["files"]) == len(answers["pixels"]) == BATCH
    assert np.allclose(answers["files"], expected, rtol=1e-6, atol=0)
