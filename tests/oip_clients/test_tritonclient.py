"""Scripts for tritonclient, with only the address and the model changed."""

from pathlib import Path
from typing import Any

import pytest

from tests.conftest import SMALL_V1, SMALL_V2
from tests.oip_clients.conftest import ADMIN_KEY, BATCH, Service
from tests.oip_clients.environment import answer_of

BOTH = pytest.mark.parametrize("protocol", ["http", "grpc"])
READY, UNAVAILABLE = "READY", "UNAVAILABLE"


@BOTH
def test_a_hundred_files_get_the_answers_of_predict(
    service: Service, photos: Path, protocol: str
) -> None:
    address = service.address(protocol)
    answers = answer_of("triton_classify.py", protocol, address, SMALL_V1, "files", photos)
    form = [("image", file.read_bytes()) for file in sorted(photos.iterdir())]
    response = service.http.post("/predict?top_k=3", files=form)
    expected = [
        [f"{one['probability']:.6f}:{one['class_id']}:{one['label']}" for one in row["predictions"]]
        for row in response.json()["results"]
    ]
    assert len(answers) == BATCH
    assert answers == expected


@BOTH
def test_a_hundred_pictures_as_pixels_are_answered(
    service: Service, photos: Path, protocol: str
) -> None:
    address = service.address(protocol)
    answers = answer_of("triton_classify.py", protocol, address, SMALL_V1, "pixels", photos)
    assert len(answers) == BATCH
    assert {len(row) for row in answers} == {3}
    assert all(text.count(":") >= 2 for row in answers for text in row)


@BOTH
def test_every_call_that_makes_sense_for_a_classifier_works(
    service: Service, photos: Path, protocol: str
) -> None:
    before = _answered(service)
    said = answer_of(
        "triton_calls.py",
        protocol,
        service.address(protocol),
        SMALL_V1,
        SMALL_V2,
        ADMIN_KEY,
        photos / "000.png",
    )
    assert said["server"]["name"] == "mobilenet-gateway"
    assert _numbers(said["metadata"]["inputs"][0]["shape"]) == [-1, -1, -1, 3]
    assert said["config"]["max_batch_size"] == BATCH
    assert said["ready"] == [True, False, False, False]
    assert said["shapes"] == {"probabilities": [1, 1000], "embedding": [1, 256]}
    assert said["id"] == "one"
    assert 0.99 < said["sum"] < 1 + 1e-5  # this family keeps a little for "none of these"
    assert said["same_pixels_same_rows"]
    assert said["async_is_sync"]
    if protocol == "http":
        assert said["json_is_binary"]
    else:
        assert said["stream"][0] == said["stream"][2] == "answered"
        assert "Unknown model 'nothing'" in said["stream"][1]
    assert said["index"] == said["unloaded"] == {SMALL_V1: READY, SMALL_V2: UNAVAILABLE}
    assert said["loaded"] == {SMALL_V1: READY, SMALL_V2: READY}
    assert said["inference_count"] == _answered(service) > before
    assert {name: status for name, (status, _) in said["errors"].items()} == _statuses(protocol)
    assert "'sequence_id'" in said["errors"]["sequence"][1]


def _answered(service: Service) -> int:
    stats = service.http.get(f"/v2/models/{SMALL_V1}/stats").json()["model_stats"]
    count: int = stats[0]["inference_count"]
    return count


def _statuses(protocol: str) -> dict[str, str]:
    http = {
        "model": ("404", "NOT_FOUND"),
        "output": ("400", "INVALID_ARGUMENT"),
        "sequence": ("400", "INVALID_ARGUMENT"),
        "key": ("403", "PERMISSION_DENIED"),
        "absent": ("404", "NOT_FOUND"),
        "override": ("400", "INVALID_ARGUMENT"),
        "last": ("409", "FAILED_PRECONDITION"),
    }
    return {
        name: status if protocol == "http" else f"StatusCode.{code}"
        for name, (status, code) in http.items()
    }


def _numbers(shape: list[Any]) -> list[int]:
    """A shape; protobuf writes its 64-bit numbers to JSON as texts."""
    return [int(size) for size in shape]
