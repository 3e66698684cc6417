"""A state dict of torch whose head has several linear layers, as a graph."""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from models.checkpoints.checkpoint import Array, errors_with_name, template
from models.checkpoints.tflite.graph import Graph
from models.checkpoints.torch import state_dict
from models.checkpoints.torch.head import Dense, read_head
from models.importing.checks import Refused
from models.importing.dialogue.missing import Answer, Question
from models.importing.dialogue.options import Choices
from models.importing.weights.identify import Naming, naming_of, network_of
from models.importing.weights.import_weights import choose_resolution
from models.network.design import define
from models.translation.torch.write import ACTIVATIONS, write_graph
from models.zoo.zoo import formats

FIRST = "the first layer of the head"


class Headed(NamedTuple):
    """A graph, and the name of its weights' format in the zoo."""

    graph: Graph
    format: str


def read_headed(path: Path, choices: Choices) -> Headed | None:
    """Read a state dict; None if its head is not one of several linear layers.

    Raises:
        CheckpointError: it cannot be read, or has a head that is not known here.
        Refused: the resolution or the activation of the head is none.
    """
    tensors = state_dict.read_tensors(path)
    linear = [name for name, values in tensors.items() if values.ndim == 2]
    if not linear:
        return None
    naming, eps = naming_of(path, tensors)
    if len(linear) == 1 and not _is_changed(tensors, naming, linear[0]):
        return None
    trunk = {name: values for name, values in tensors.items() if name in _names(naming)}
    with errors_with_name(path.name):
        rest = {name: values for name, values in tensors.items() if name not in trunk}
        first, *more = read_head(rest, eps)
        trunk |= {f"{FIRST}.weight": first.kernel, f"{FIRST}.bias": first.bias}
        family = template(naming.family, naming.design)
        checkpoint = state_dict.layers_of(trunk, family, naming.convolutions, FIRST, eps)
    found = network_of(path, checkpoint, naming.family, naming.design, naming.format)
    padding = formats()[naming.format].padding
    side = choose_resolution(choices)
    network = define(found.family, found.alpha, side, len(first.bias), padding, found.design)
    activation = _activation(choices, [first, *more])
    return Headed(write_graph(network, checkpoint.layers, more, activation), naming.format)


def _is_changed(tensors: Mapping[str, Array], naming: Naming, kernel: str) -> bool:
    """Whether a head of one linear layer has no bias, or batch norm."""
    bias = kernel.removesuffix("weight") + "bias"
    return bias not in tensors or any(
        name.endswith(".running_mean") for name in tensors.keys() - _names(naming)
    )


def _names(naming: Naming) -> set[str]:
    kernels = {f"{one.conv}.weight" for one in naming.convolutions}
    norms = (one.norm for one in naming.convolutions)
    return kernels | {f"{norm}.{part}" for norm in norms for part in state_dict.BATCH_NORM}


def _activation(choices: Choices, head: list[Dense]) -> str:
    """What stands between the linear layers, which no state dict tells."""
    if choices.activation is not None:
        if choices.activation not in ACTIVATIONS:
            known = ", ".join(ACTIVATIONS)
            raise Refused(f"Unknown activation {choices.activation!r}. Supported: {known}.")
        return choices.activation
    if not any(dense.gap for dense in head):
        return "none"
    names = " and ".join(dense.name for dense in head)
    why = f"the file does not state the activation between {names}."
    answers = (
        Answer("--activation relu", "nn.ReLU, as most heads have"),
        Answer("--activation none", "nothing but dropout"),
        Answer(f"--activation {'|'.join(list(ACTIVATIONS)[1:-1])}", "another one"),
    )
    return choices.questions.ask(Question("--activation", why, answers), "relu")
