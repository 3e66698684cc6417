import contextlib
import io
import pickle

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.checkpoints.checkpoint import CheckpointError
from models.checkpoints.torch.unpickle import MAX_PICKLE_BYTES, unpickle
from tests.models.checkpoints.torch import torch_files as write

UNMEASURED = pytest.mark.unmeasured  # for what has hundreds of thousands of instructions
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text("abc°"),
    lambda inner: (
        st.lists(inner) | st.lists(inner).map(tuple) | st.dictionaries(st.text("abc"), inner)
    ),
)


@settings(deadline=None)
@given(values)
def test_plain_data_is_what_python_makes_of_it(value: object) -> None:
    stream = io.BytesIO(pickle.dumps(value, protocol=2) + b"behind")
    assert unpickle(stream) == value
    assert stream.read() == b"behind"


def nested_tuples(depth: int) -> bytes:
    return b")" + b"\x85" * depth


def doubling_tuples(count: int) -> bytes:
    """A tuple of 2 ** count leaves that share one another."""
    return b")" + b"".join(b"q%ch%c\x86" % (n, n) for n in range(count))


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        pytest.param(b"", "leaves 0 objects", id="nothing"),
        pytest.param(b"NN", "leaves 2 objects", id="two objects"),
        pytest.param(b"t", "TUPLE has nothing to work on", id="no mark"),
        pytest.param(b"N\x86", "TUPLE2 has nothing to work on", id="too few for a tuple"),
        pytest.param(b"h\x07", "BINGET has nothing to work on", id="nothing remembered"),
        pytest.param(b"NNa", "appends to something that is not a list", id="append to None"),
        pytest.param(b"N(Ne", "appends to something that is not a list", id="appends to None"),
        pytest.param(b"]NNs", "sets items of something that is not a dict", id="item of a list"),
        pytest.param(b"}(Nu", "sets items of something that is not a dict", id="key alone"),
        pytest.param(b"}NNs", "a key that is not a string", id="None as a key"),
        pytest.param(b"NQ", "not a plain storage", id="storage of nothing"),
        pytest.param(
            write.sequence(write.text("storage")) + b"Q", "not a plain storage", id="short storage"
        ),
        pytest.param(write.storage("0", -1), "not a plain storage", id="negative storage"),
        pytest.param(
            write.storage("0", 1, write.ORDERED_DICT), "not a plain storage", id="odd storage"
        ),
        pytest.param(b"N)R", "calls a plain value", id="call of None"),
        pytest.param(
            write.call(write.ORDERED_DICT, write.listed()),
            "calls collections.OrderedDict with arguments",
            id="OrderedDict of items",
        ),
        pytest.param(
            write.call(write.REBUILD_TENSOR, b"N"),
            "calls torch._utils._rebuild_tensor_v2 with arguments",
            id="tensor of None",
        ),
        pytest.param(
            write.call(
                write.REBUILD_TENSOR,
                write.storage("0", 1),
                write.number(0),
                write.sequence(b"\x88"),
                write.sequence(b"\x88"),
                b"\x89",
                b"}",
            ),
            "calls torch._utils._rebuild_tensor_v2 with arguments",
            id="tensor of booleans",
        ),
        pytest.param(
            b"}" + nested_tuples(500_000) + b"Ns", "not a string", marks=UNMEASURED, id="deep key"
        ),
        pytest.param(
            b"}" + doubling_tuples(100) + b"Ns",
            "not a string",
            marks=UNMEASURED,
            id="exploding key",
        ),
        pytest.param(
            b"N" * MAX_PICKLE_BYTES, "not a pickle, or cut off", marks=UNMEASURED, id="endless"
        ),
    ],
)
def test_instructions_that_torch_would_not_give_are_rejected(code: bytes, reason: str) -> None:
    with pytest.raises(CheckpointError, match=reason):
        unpickle(io.BytesIO(write.pickled(code)))


def test_a_memo_index_of_four_billion_takes_no_memory() -> None:
    assert unpickle(io.BytesIO(write.pickled(b"Nr\xff\xff\xff\xff"))) is None


@pytest.mark.unmeasured
@settings(deadline=None, max_examples=300)
@given(st.binary(max_size=200))
def test_any_bytes_are_a_value_or_a_refusal(code: bytes) -> None:
    with contextlib.suppress(CheckpointError):
        unpickle(io.BytesIO(b"\x80\x02" + code))
