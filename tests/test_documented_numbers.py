"""Numbers that stand in the documentation and in the code, each compared with a third place: here.

If one of them is meant to change, it changes in all three.
"""

import re
from typing import NamedTuple

import pytest

from app.auto import brownout, chooser
from app.http import lingering_close, listener, protocol, server
from app.inference import timings
from app.oip import grpc_limits, request, rest_codec
from app.request import json_text
from app.service import body_quota
from app.settings import Settings
from app.telemetry import request_counts
from tests.conftest import ROOT

grpc_server = pytest.importorskip("app.oip.grpc_server", reason="needs the extra `grpc`")
protobuf_fields = pytest.importorskip("app.oip.protobuf_fields", reason="needs the extra `grpc`")
MIB = 2**20
DEFAULTS = Settings.model_fields


class Promise(NamedTuple):
    """What a page says, and the numbers in the code with what they have to be."""

    page: str
    sentence: str
    numbers: tuple[tuple[object, object], ...]


def default(name: str) -> object:
    return DEFAULTS[name].default


def with_defaults() -> grpc_limits.GrpcLimits:
    held, body = default("max_inflight_bytes"), default("max_body_bytes")
    assert isinstance(held, int)
    assert isinstance(body, int)
    return grpc_limits.GrpcLimits(1, held, body)


PROMISES = [
    Promise(
        "operations.md",
        "keeps reading for up to 30 s, 2 s of silence or 64 MiB",
        (
            (lingering_close.MAX_LINGER_S, 30),
            (lingering_close.QUIET_S, 2),
            (lingering_close.MAX_BYTES, 64 * MIB),
        ),
    ),
    Promise(
        "operations.md",
        "Headers are limited to 64 KiB and 200 lines",
        ((protocol.MAX_HEAD_BYTES, 65_536), (protocol.MAX_HEADERS, 200)),
    ),
    Promise("operations.md", "a TLS handshake has 10 s", ((listener.HANDSHAKE_S, 10),)),
    Promise(
        "operations.md",
        "An eighth of `GATEWAY_MAX_INFLIGHT_BYTES` is for bodies of up to 1 MiB",
        ((body_quota.RESERVED, 0.125), (body_quota.SMALL_BYTES, MIB)),
    ),
    Promise(
        "protocol.md",
        "While calls wait, a message has 0.3 s to arrive",
        ((grpc_limits.PATIENCE_S, 0.3),),
    ),
    Promise(
        "operations.md",
        "At most 32 requests wait on one connection",
        ((protocol.MAX_PIPELINED, 32),),
    ),
    Promise(
        "operations.md",
        "gets a total of 75 s, the idle timeout of a connection",
        ((server.KEEP_ALIVE_S, 75),),
    ),
    Promise(
        "operations.md",
        "when the queue reaches a quarter of the deadline or of the queue limit",
        ((brownout.HIGH_PRESSURE, 0.25),),
    ),
    Promise(
        "operations.md",
        "could have handled the load for 3 s with a margin",
        ((brownout.HOLD_S, 3), (brownout.LIGHT_LOAD, 0.7), (brownout.FULL_LOAD, 0.85)),
    ),
    Promise(
        "operations.md",
        "Times are histograms from 0.2 ms to 2 s",
        ((request_counts.BUCKETS_S[0], 0.0002), (request_counts.BUCKETS_S[-1], 2.0)),
    ),
    Promise(
        "choosing.md",
        "from the medians of the latest 128 requests",
        ((timings.WINDOW, 128),),
    ),
    Promise("choosing.md", "95 of 100 requests", ((chooser.QUANTILE, 0.95),)),
    Promise("choosing.md", "is tried again after 30 s", ((timings.MAX_AGE_S, 30),)),
    Promise(
        "protocol.md",
        "at most 8 inputs and outputs with 16 parameters each, at most 4000 quotation "
        "marks, 1000 objects, 60000 lists and 310000 commas in its JSON, 10 bytes for each of more "
        "than 1000 values, and at most 5000 fields in its gRPC message",
        (
            (request.MAX_TENSORS, 8),
            (request.MAX_PARAMETERS, 16),
            (rest_codec.JSON_LIMITS.quotes, 4000),
            (rest_codec.JSON_LIMITS.objects, 1000),
            (rest_codec.JSON_LIMITS.lists, 60_000),
            (rest_codec.JSON_LIMITS.commas, 310_000),
            (json_text.MAX_BYTES_PER_COMMA, 10),
            (json_text.MANY_COMMAS, 1000),
            (protobuf_fields.MAX_FIELDS, 5000),
        ),
    ),
    Promise(
        "protocol.md",
        "With the defaults the service reads 5 messages at a time",
        ((with_defaults().reading._value, 5),),
    ),
    Promise(
        "protocol.md",
        "With the defaults 5 streams may be open",
        ((with_defaults().streams.maximum, 5),),
    ),
    Promise("protocol.md", "At least 4 of each are always allowed", ((grpc_limits.MIN_SLOTS, 4),)),
    Promise(
        "protocol.md",
        "no complete message for 75 s ends with `DEADLINE_EXCEEDED`",
        ((grpc_limits.STREAM_IDLE_S, 75),),
    ),
    Promise(
        "protocol.md",
        "twice as many concurrent calls as images (queued and in work), at least 100",
        ((grpc_server.CALLS_PER_PERMIT, 2), (grpc_server.MIN_CALLS, 100)),
    ),
    Promise(
        "container.md",
        "more time than `GATEWAY_STOP_TIMEOUT_S` (20 s)",
        ((default("stop_timeout_s"), 20),),
    ),
]


@pytest.mark.parametrize("promise", PROMISES, ids=lambda promise: promise.sentence[:40])
def test_a_number_is_the_same_in_the_documentation_in_the_code_and_here(promise: Promise) -> None:
    text = (ROOT / "docs" / promise.page).read_text("utf-8")
    assert promise.sentence in re.sub(r"\s+", " ", text)
    found, expected = zip(*promise.numbers, strict=True)
    assert found == expected
