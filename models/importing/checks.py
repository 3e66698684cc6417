"""Which files are looked at at all: what cannot become a served classifier is turned away here."""

from collections.abc import Iterable
from pathlib import Path

import onnx
from onnx import AttributeProto, TensorProto, inliner

from app.card.card import CARD_KEY, SourceFile
from models.files.hashes import sha256_of
from models.files.onnx_file import MAX_BYTES, OnnxFileError, read_model

OLDEST_OPSET = 7  # onnxruntime's own floor
DOMAINS = {"", "ai.onnx", "com.microsoft"}  # which onnxruntime runs on its own
LOSSES = {"SoftmaxCrossEntropyLoss", "NegativeLogLikelihoodLoss"}
DETECTING = {"NonMaxSuppression", "EfficientNMS_TRT", "RoiAlign", "MaxRoiPool"}
BRANCHING = (AttributeProto.GRAPH, AttributeProto.GRAPHS)


class Refused(ValueError):
    """A file cannot be adopted; the text says why, and what helps."""


def admit(path: Path) -> onnx.ModelProto:
    """The model in a file, its weights read in and its local functions written out.

    Raises:
        Refused: it is not ONNX, damaged, too large, or nothing that classifies photos here.
    """
    try:
        if sum(file.stat().st_size for file in _files(path)) > MAX_BYTES:
            raise Refused(
                f"{path} and its weights are larger than 2 GB, the maximum of an ONNX file."
            )
        model = read_model(path)
    except OnnxFileError as error:
        raise Refused(str(error)) from error
    if any(item.key == CARD_KEY for item in model.metadata_props):
        raise Refused(f"{path} has a model card already. Copy it into the store.")
    model = inliner.inline_local_functions(model)
    _check_operators(model)
    _check_training(model)
    return model


def _files(path: Path) -> list[Path]:
    """The file of a model, and those beside it that hold its weights.

    Raises:
        Refused: one of them lies outside of the folder, or is not there.
    """
    names = {
        item.value
        for tensor in _tensors(read_model(path, external_data=False).graph)
        for item in tensor.external_data
        if item.key == "location"
    }
    files, folder = [path], path.parent.resolve()
    for name in sorted(names):
        file = (folder / name).resolve()
        if not file.is_relative_to(folder):
            raise Refused(f"The weights are in {name!r}, outside the folder of the model.")
        if not file.is_file():
            raise Refused(
                f"{path.name} keeps its weights in the file {name!r}, which is not beside it. Put "
                "both files in one folder, or export the model again into one file: "
                "torch.onnx.export(..., external_data=False)."
            )
        files.append(file)
    return files


def source_files(path: Path) -> tuple[SourceFile, ...]:
    """Name and hash of a file and of those that hold its weights."""
    return tuple(SourceFile(name=file.name, sha256=sha256_of(file)) for file in _files(path))


def _tensors(graph: onnx.GraphProto) -> Iterable[TensorProto]:
    yield from graph.initializer
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.type == AttributeProto.TENSOR:
                yield attribute.t


def _check_operators(model: onnx.ModelProto) -> None:
    [opset] = [item.version for item in model.opset_import if item.domain in ("", "ai.onnx")] or [0]
    if opset < OLDEST_OPSET:
        raise Refused(
            f"The opset is {opset}; onnxruntime supports {OLDEST_OPSET} and newer. "
            "Export the model again."
        )
    for node in model.graph.node:
        if node.domain not in DOMAINS:
            raise Refused(f"Custom operators are not supported: {node.op_type} of {node.domain!r}.")
        if node.op_type in DETECTING:
            raise Refused(f"The model is a detector ({node.op_type}), not a classifier.")
        if any(attribute.type in BRANCHING for attribute in node.attribute):
            raise Refused(
                f"The graph has branches ({node.op_type}), so its cost cannot be determined."
            )
    if any(tensor.data_type == TensorProto.BFLOAT16 for tensor in _tensors(model.graph)):
        raise Refused(
            "The weights are bfloat16, in which no CPU kernel of onnxruntime computes. "
            "Export the model in float32: torch.onnx.export(model.float(), ...)."
        )


def _check_training(model: onnx.ModelProto) -> None:
    if model.training_info:
        raise Refused("The graph is for training (it has training_info).")
    for node in model.graph.node:
        training = any(item.i for item in node.attribute if item.name == "training_mode")
        statistics = node.op_type == "BatchNormalization" and any(node.output[1:])
        if training or statistics:
            raise Refused(
                f"The graph is for training ({node.op_type} in training mode). "
                "Export it in evaluation mode."
            )
        if node.op_type in LOSSES or node.op_type.endswith("Grad"):
            raise Refused(f"The graph is for training (it has {node.op_type}).")
