"""Responses are read to their last byte, and request heads state the size of the body."""

import pytest

from loadtest.load.http1 import parse_response, request_head

RESPONSE = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 2\r\nretry-after: 1\r\n\r\n{}"


def test_an_answer_is_not_read_before_its_last_byte() -> None:
    assert all(parse_response(RESPONSE[:cut]) is None for cut in range(len(RESPONSE)))


def test_an_answer_ends_where_its_length_says() -> None:
    assert parse_response(RESPONSE + b"HTTP/1.1 200 OK") == (503, len(RESPONSE))


def test_an_answer_without_a_length_is_an_error() -> None:
    with pytest.raises(ValueError, match="Content-Length"):
        parse_response(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")


def test_the_request_head_says_how_long_the_body_is() -> None:
    assert b"\r\nContent-Length: 7\r\n" in request_head(
        "127.0.0.1", 80, "/predict", "image/jpeg", 7
    )
