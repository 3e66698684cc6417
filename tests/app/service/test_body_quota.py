"""Bytes in flight: never more than the limit, and all of them come back."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.errors import Overloaded
from app.service.body_quota import BodyQuota

LIMIT_BYTES = 1000
MIB = 2**20


@given(st.lists(st.lists(st.integers(0, 400), max_size=6), max_size=6))
def test_leases_hold_at_most_the_limit_and_give_everything_back_once(
    requests: list[list[int]],
) -> None:
    budget = BodyQuota(LIMIT_BYTES)
    leases = []
    held_bytes = 0
    for chunks in requests:
        lease = budget.lease()
        leases.append(lease)
        for size_bytes in chunks:
            if held_bytes + size_bytes > LIMIT_BYTES:
                with pytest.raises(Overloaded):
                    lease.take(size_bytes)
                continue
            lease.take(size_bytes)
            held_bytes += size_bytes
            assert budget.held_bytes == held_bytes
    for lease in leases * 2:
        lease.release()
    assert budget.held_bytes == 0


def test_a_refusal_names_what_is_held_and_when_to_come_back() -> None:
    lease = BodyQuota(LIMIT_BYTES).lease()
    lease.take(900)
    with pytest.raises(Overloaded, match="hold 900 of 1000 bytes") as refusal:
        lease.take(101)
    assert refusal.value.headers["Retry-After"] == "1"


def test_large_bodies_leave_an_eighth_for_small_ones() -> None:
    quota = BodyQuota(80 * MIB, 16 * MIB)
    slow = [quota.lease() for _ in range(7)]
    for lease in slow:
        lease.take(10 * MIB)
    large, small = quota.lease(), quota.lease()
    small.take(MIB)
    with pytest.raises(Overloaded, match=f"of {70 * MIB} bytes"):
        large.take(MIB + 1)
    with pytest.raises(Overloaded):  # it is not small any more
        small.take(1)


def test_the_largest_body_fits_an_empty_quota() -> None:
    BodyQuota(16 * MIB, 16 * MIB).lease().take(16 * MIB)
