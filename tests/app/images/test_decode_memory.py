"""Pictures share a room: together they never take more than it has, and none waits for ever."""

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.images.decode_memory import SMALL_BYTES, DecodeMemory
from tests.processes import running
from tests.robustness.traffic import SIDE, many, slow_image

PATIENCE_S = 60
BYTES_PER_PIXEL = 16  # of WebP, as docs/operations.md has it


class Held:
    """What is held at once, and the most that ever was."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.now_bytes = self.most_bytes = 0

    def add(self, size_bytes: int) -> None:
        with self._lock:
            self.now_bytes += size_bytes
            self.most_bytes = max(self.most_bytes, self.now_bytes)


large = st.integers(SMALL_BYTES + 1, 10 * SMALL_BYTES)


@settings(deadline=None, max_examples=30)
@given(large, st.lists(large, min_size=1, max_size=30))
def test_pictures_never_take_more_than_the_room_or_the_largest_one_alone(
    limit_bytes: int, sizes: list[int]
) -> None:
    room, held = DecodeMemory(limit_bytes), Held()

    def decode(size_bytes: int) -> None:
        with room.hold(size_bytes):
            held.add(size_bytes)
            threading.Event().wait(0.0002)  # lets others in
            held.add(-size_bytes)

    with ThreadPoolExecutor(8) as pool:
        for done in [pool.submit(decode, size) for size in sizes]:
            done.result(PATIENCE_S)
    assert held.most_bytes <= max(limit_bytes, *sizes)
    with room.hold(limit_bytes):  # all of it is free again
        pass


def test_a_small_picture_does_not_wait_for_a_large_one() -> None:
    room = DecodeMemory(SMALL_BYTES)
    with room.hold(100 * SMALL_BYTES), room.hold(SMALL_BYTES):
        pass


def test_room_is_free_again_after_an_error() -> None:
    room = DecodeMemory(2 * SMALL_BYTES)
    with pytest.raises(KeyError), room.hold(2 * SMALL_BYTES):
        raise KeyError
    with room.hold(2 * SMALL_BYTES):
        pass


def test_many_workers_do_not_decode_many_of_the_largest_pictures_at_once(store: Path) -> None:
    one = SIDE * SIDE * BYTES_PER_PIXEL
    with running(store, workers=4, max_decode_bytes=1) as service:
        with many(service, slow_image(), 6) as answers:
            assert {answer.result().status_code for answer in answers} == {200}
        assert service.peak_resident_bytes < 1.5 * one
