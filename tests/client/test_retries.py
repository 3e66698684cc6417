"""Retries of both clients: which failures, how soon and for how long."""

from threading import Thread

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mobilenet_gateway_client import (
    Client,
    ClientError,
    Closed,
    Problem,
    Retry,
    Unavailable,
    Unreachable,
)

from tests.client.clients import Do, both
from tests.client.scripted import GOOD, Reply, overloaded, scripted
from tests.processes import LIVELINESS_S


@both
def test_a_503_is_retried_no_sooner_than_it_says(do: Do) -> None:
    with scripted([overloaded("0.3"), overloaded("0.2"), GOOD]) as script:
        assert do(script.url, "classify", b"x", retry=Retry()).predictions
    first, second, third = script.seen
    assert second - first >= 0.3
    assert third - second >= 0.2


@both
def test_a_503_that_lasts_is_raised_when_patience_ends(do: Do) -> None:
    with (
        scripted([overloaded("0")]) as script,
        pytest.raises(Unavailable, match="Queue full: 64 of 64 images waiting"),
    ):
        do(script.url, "classify", b"x", retry=Retry(patience_s=2, first_s=0.02, longest_s=0.02))
    assert len(script.seen) > 2
    with scripted([overloaded("3600")]) as script, pytest.raises(Unavailable):
        do(script.url, "classify", b"x", retry=Retry())
    assert len(script.seen) == 1  # it would not have been worth the wait


@both
def test_a_broken_connection_is_retried(do: Do) -> None:
    with scripted([Reply(0), GOOD]) as script:
        assert do(script.url, "classify", b"x", retry=Retry(first_s=0.01)).predictions
    assert len(script.seen) == 2


@both
@pytest.mark.parametrize("status", [400, 401, 404, 408, 413, 422, 429, 499, 500, 501, 502, 504])
def test_no_other_error_is_retried(do: Do, status: int) -> None:
    """Not a 504 either: whoever waited for its deadline has waited long enough."""
    with scripted([Reply(status, {}, {"Retry-After": "0"}), GOOD]) as script:
        with pytest.raises(Problem, match=str(status)):
            do(script.url, "classify", b"x", retry=Retry(first_s=0.01))
        assert len(script.seen) == 1


@both
def test_an_answer_that_does_not_come_is_not_waited_for_again(do: Do) -> None:
    with scripted([Reply(None)]) as script:
        with pytest.raises(Unreachable, match=r"does not answer: (timed out|ReadTimeout)$"):
            do(script.url, "classify", b"x", retry=Retry(first_s=0.01), timeout_s=0.3)
        assert len(script.seen) == 1


def test_closing_ends_the_wait_for_another_attempt() -> None:
    with scripted([overloaded("20")]) as script:
        client = Client(script.url, retry=Retry(patience_s=60))
        raised: list[BaseException] = []

        def ask() -> None:
            try:
                client.models()
            except ClientError as error:
                raised.append(error)

        thread = Thread(target=ask)
        thread.start()
        while not script.seen:
            thread.join(0.01)
        client.close()
        thread.join(LIVELINESS_S)
        assert not thread.is_alive()
    assert isinstance(raised[0], Closed)


@given(
    failures=st.integers(1, 10_000),
    floor_s=st.floats(0, 100),
    spent_s=st.floats(0, 100),
    patience_s=st.floats(0, 200),
)
def test_waits_are_bounded_from_both_sides(
    failures: int, floor_s: float, spent_s: float, patience_s: float
) -> None:
    wait_s = Retry(patience_s).wait_s(failures, floor_s, spent_s)
    if wait_s is not None:
        assert floor_s <= wait_s <= floor_s + 5
        assert spent_s + wait_s <= patience_s


@pytest.mark.parametrize(
    ("failures", "low_s", "high_s"),
    [(1, 0.05, 0.1), (2, 0.1, 0.2), (3, 0.2, 0.4), (6, 1.6, 3.2), (7, 2.5, 5.0), (99, 2.5, 5.0)],
)
def test_waits_double_from_a_tenth_to_five_seconds_and_are_shortened_by_up_to_half(
    failures: int, low_s: float, high_s: float
) -> None:
    waits = [Retry(3600).wait_s(failures, 0, 0) for _ in range(200)]
    assert all(wait_s is not None and low_s <= wait_s <= high_s for wait_s in waits)
    known = [wait_s for wait_s in waits if wait_s is not None]
    assert min(known) < low_s + (high_s - low_s) / 4  # spread over all of it
    assert max(known) > high_s - (high_s - low_s) / 4


def test_patience_is_thirty_seconds_from_the_start_of_the_call() -> None:
    assert Retry().wait_s(1, 0, 29.8) is not None
    assert Retry().wait_s(1, 0, 29.99) is None
    assert Retry().wait_s(1, 28.0, 1.0) is not None
    assert Retry().wait_s(1, 30.0, 0.1) is None
