"""The answer to an inference request, before it is written as JSON or protobuf."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from app.arrays import Float32Array
from app.card.card import PROBABILITIES
from app.inference.classify import ranked
from app.model.model import Model
from app.oip.request import InferRequest, OutputPlan, Plan
from app.oip.tensors import OutputTensor


@dataclass(frozen=True, slots=True)
class InferAnswer:
    """The answer to one request; `id` is the one that the client sent.

    `warnings` says what seems to be missing from damaged images; the protocol's parameters have no
    lists.
    """

    model_name: str
    outputs: list[OutputTensor]
    id: str = ""
    warnings: str = ""


def to_answer(
    name: str,
    request: InferRequest,
    plan: Plan,
    model: Model,
    rows: Sequence[Sequence[Float32Array]],
) -> InferAnswer:
    """Stack the rows of all images; a row has one array per output of `plan.names`.

    `name` is the model's as the client gave it, which may be an alias.
    """
    tensors = {
        name: np.stack([row[index] for row in rows]) for index, name in enumerate(plan.names)
    }
    outputs = [to_tensor(output, tensors[output.name], model) for output in plan.outputs]
    return InferAnswer(name, outputs, request.id)


def to_tensor(output: OutputPlan, values: Float32Array, model: Model) -> OutputTensor:
    """Make one output as requested: the whole tensor, or its highest values."""
    if not output.classes:
        return OutputTensor(output.name, values, output.binary)
    labels = model.card.labels if output.name == PROBABILITIES else ()
    texts = [classification(row, labels, output.classes) for row in values]
    return OutputTensor(output.name, texts, output.binary)


def classification(values: Float32Array, labels: Sequence[str], count: int) -> list[bytes]:
    """Format the `count` highest of [width] as `value:index:label`; without labels `value:index`.

    Source: Triton's "Classification Extension". The value has 6 decimals, as in Triton.
    """
    return [
        f"{values[index]:f}:{index}{f':{labels[index]}' if labels else ''}".encode()
        for index in ranked(values, count)
    ]
