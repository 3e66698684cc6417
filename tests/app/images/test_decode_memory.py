"""Images share a limit of memory: together they never exceed it, and none waits forever."""

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.card.card import Preprocessing
from app.images.decode import load_image
from app.images.decode_memory import SMALL_BYTES, DecodeMemory
from app.images.limits import ImageLimits
from tests.app.sample_images import encode, noise
from tests.processes import LIVELINESS_S, running
from tests.robustness.traffic import SIDE, many, slow_image

BYTES_PER_PIXEL = 16  # of WebP, as in docs/operations.md
USUAL = Preprocessing(resize="shortest_edge", crop_fraction=0.875, interpolation="bilinear")


class Held:
    """The bytes that are held now, and their maximum so far."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.now_bytes = self.max_bytes = 0

    def add(self, size_bytes: int) -> None:
        with self._lock:
            self.now_bytes += size_bytes
            self.max_bytes = max(self.max_bytes, self.now_bytes)


large = st.integers(SMALL_BYTES + 1, 10 * SMALL_BYTES)


@settings(deadline=None, max_examples=30)
@given(large, st.lists(large, min_size=1, max_size=30))
def test_pictures_never_take_more_than_the_room_or_the_largest_one_alone(
    limit_bytes: int, sizes: list[int]
) -> None:
    memory, held = DecodeMemory(limit_bytes), Held()

    def decode(size_bytes: int) -> None:
        with memory.hold(size_bytes):
            held.add(size_bytes)
            threading.Event().wait(0.0002)  # lets others in
            held.add(-size_bytes)

    with ThreadPoolExecutor(8) as pool:
        for done in [pool.submit(decode, size) for size in sizes]:
            done.result(LIVELINESS_S)
    assert held.max_bytes <= max(limit_bytes, *sizes)
    with memory.hold(limit_bytes):  # all of it is free again
        pass


def test_a_small_picture_does_not_wait_for_a_large_one() -> None:
    memory = DecodeMemory(100 * SMALL_BYTES)
    photo = encode(noise(1280, 720), "JPEG")
    with ThreadPoolExecutor(1) as pool, memory.hold(100 * SMALL_BYTES):  # all that there is
        decoded = pool.submit(load_image, photo, 224, USUAL, ImageLimits(), memory=memory)
        assert decoded.result(LIVELINESS_S).shape == (224, 224, 3)


def test_room_is_free_again_after_an_error() -> None:
    memory = DecodeMemory(2 * SMALL_BYTES)
    with pytest.raises(KeyError), memory.hold(2 * SMALL_BYTES):
        raise KeyError
    with memory.hold(2 * SMALL_BYTES):
        pass


@pytest.mark.unmeasured
def test_the_largest_pictures_take_no_memory_of_the_service(store: Path) -> None:
    one = SIDE * SIDE * BYTES_PER_PIXEL
    with running(store, workers=4, deadline_ms=10_000_000) as service:
        before_bytes = service.peak_resident_bytes
        with many(service, slow_image(), 6) as answers:
            assert {answer.result().status_code for answer in answers} == {200}
        assert service.peak_resident_bytes - before_bytes < one / 10
