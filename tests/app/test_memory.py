"""Freed memory goes back, and nothing breaks where the C library has no such calls."""

from app import memory


def test_memory_can_be_given_back_again_and_again() -> None:
    memory.map_large_blocks()
    for _ in range(3):
        block = bytearray(2 * memory.LARGE_BYTES)
        del block
        memory.give_back_freed()
