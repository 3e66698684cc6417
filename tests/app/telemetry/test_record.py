"""The id of a request: the client's if it is harmless, else a new one."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.telemetry.record import ID_HEADER, start_record

HARMLESS = re.compile(r"[\x21-\x7e]{1,128}")


def started(sent: bytes | None) -> str:
    return start_record("GET", "/", [] if sent is None else [(ID_HEADER, sent)]).id


@pytest.mark.parametrize("sent", [b"camera-7/42", b"a", b"x" * 128, b"{}<>&\"'"])
def test_an_id_of_the_client_is_kept(sent: bytes) -> None:
    assert started(sent).encode() == sent


@pytest.mark.parametrize(
    "sent", [None, b"", b"a b", b"a\r\nSet-Cookie: x", b"\x00", b"\xff", b"x" * 129, b"x" * 10_000]
)
def test_a_missing_or_hostile_id_is_replaced(sent: bytes | None) -> None:
    made = started(sent)
    assert re.fullmatch(r"[0-9a-f]{16}", made)
    assert started(sent) != made


@given(st.binary(max_size=200))
def test_whatever_is_sent_the_id_is_harmless(sent: bytes) -> None:
    assert HARMLESS.fullmatch(started(sent))
