"""The arm64 image under emulation gives the same answers as the image for this machine."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.app.sample_images import chelsea, encode
from tests.container.engine import EMULATED, Container, running

FLOAT = "mobilenet_v2_1.0_224"
MOST_DIFFERENCE = 0.01
# onnxruntime's INT8 kernels round differently on ARM: 0.06 on the cat, 0.05 of it against the graph
# without optimisation.
MOST_INT8_DIFFERENCE = 0.15


@pytest.fixture(scope="module")
def photos() -> list[bytes]:
    """The available photos, at least one."""
    found = [encode(chelsea(), "JPEG")]
    folder = Path(__file__).resolve().parents[3] / "shared" / "photos"
    return found + [path.read_bytes() for path in sorted(folder.glob("*.*")) if path.is_file()]


@pytest.fixture(scope="module")
def emulated(arm64_image: str) -> Iterator[Container]:
    options = ("--platform", "linux/arm64", "--read-only", "--cap-drop", "ALL")
    # Emulation takes its time: an image some 4 s of processor time. Timing a new model in the
    # background runs it again and again beside the first request, and a second session spins.
    settings = ("DEADLINE_MS=1000000", "MEASURE_S=0", "LONE_IMAGE_THREADS=1")
    patient = [word for each in settings for word in ("--env", f"GATEWAY_{each}")]
    with running(arm64_image, *EMULATED, *options, *patient) as container:
        yield container


def top5(container: Container, photo: bytes, query: str = "") -> dict[str, float]:
    with container.client() as client:
        [result] = client.post(f"/predict?top_k=5{query}", content=photo).json()["results"]
    return {ranked["label"]: ranked["probability"] for ranked in result["predictions"]}


def test_both_architectures_rank_the_same_five_classes(
    image: str, emulated: Container, photos: list[bytes]
) -> None:
    with running(image) as native:
        for photo in photos:
            here, there = (top5(one, photo, f"&model={FLOAT}") for one in (native, emulated))
            assert list(here) == list(there)
            assert there == pytest.approx(here, abs=MOST_DIFFERENCE)


def test_both_architectures_are_sure_of_the_same_class_in_int8(
    image: str, emulated: Container, photos: list[bytes]
) -> None:
    query = f"&model={FLOAT}_ptq"
    with running(image) as native:
        for photo in photos:
            here, there = (top5(one, photo, query) for one in (native, emulated))
            label, probability = next(iter(here.items()))
            if probability > 0.5:
                assert next(iter(there)) == label
                assert there[label] == pytest.approx(probability, abs=MOST_INT8_DIFFERENCE)


def test_emulation_changes_nothing_but_the_time(emulated: Container) -> None:
    with emulated.client() as client:
        assert client.get("/readyz").status_code == 200
        assert client.post("/predict", content=b"no image").status_code == 400
        assert client.get("/models").json()["models"][0]["params"] == 3504872
        assert "gateway_requests_total" in client.get("/metrics").text
    assert emulated.ask_healthcheck().returncode == 0
