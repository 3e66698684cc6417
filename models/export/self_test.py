"""What an INT8 graph computes for a fixed image, stored in its file for the machines that serve it.

`app.model.self_test` compares it there.
"""

import onnx

from app.card.card import EMBEDDING, INPUT
from app.model.runtime import new_session
from app.model.self_test import SELF_TEST_KEY, encode, image


def compute_self_test(graph: onnx.ModelProto, resolution: int) -> str:
    """What this machine computes."""
    session = new_session(graph.SerializeToString())
    [embedding] = session.run([EMBEDDING], {INPUT: image(resolution)})
    return encode(embedding)


def put_self_test(model: onnx.ModelProto, text: str) -> None:
    """Put it into the metadata of a model that has none yet."""
    model.metadata_props.add(key=SELF_TEST_KEY, value=text)
