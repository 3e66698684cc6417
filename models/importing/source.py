"""What a file of any format is to the import: one ONNX graph, and who can judge it."""

from dataclasses import dataclass, replace
from pathlib import Path

import onnx

from app.card.card import SourceFile
from models.checkpoints.checkpoint import CheckpointError
from models.checkpoints.tflite.graph import Graph, read_graph
from models.checkpoints.tflite.metadata import read_metadata
from models.export.graph import InputScaling
from models.files.hashes import sha256_of
from models.importing.checks import Refused, admit, source_files
from models.importing.dialogue.missing import STAND_IN_SIDE, resolution_question
from models.importing.dialogue.options import Choices, OwnLabels
from models.importing.dialogue.presets import Preset, published, usual
from models.importing.dialogue.trials import CENTRED, PIXELS, UNIT
from models.importing.files.stated import METADATA, stated_labels, stated_scaling
from models.importing.judges.compare import Judge
from models.importing.judges.keras import judgement
from models.importing.judges.litert import LiteRT
from models.importing.judges.onnxruntime import OnnxJudge
from models.importing.weights.identify import Kind
from models.importing.weights.import_weights import TITLES
from models.importing.weights.torch_head import read_headed
from models.translation.keras import read as keras
from models.translation.onnx.ends import input_affine, with_float_input
from models.translation.tflite.translate import takes_floats, translate
from models.translation.tflite.writer import is_integer

MAX_BYTES = 1 << 30
NO_HEAD = "Only PyTorch weights with a head of several layers leave its activation open."
DYNAMIC = "dynamic range"
PIXEL_RANGES = {(-1.0, 1.0): CENTRED, (0.0, 1.0): UNIT, (0.0, 255.0): PIXELS}


@dataclass(frozen=True, slots=True)
class Source:
    """A file as a graph.

    `resolution` is the one of the file where the graph leaves it open. `preset` is what files of
    this kind have in common, with the scaling that the file states, and `labels` are those in it.
    `judge` is None where the graph is the file itself, or where nothing can run the file here;
    `unjudged` then says with what it could be. `folded` tells that batch norm, which the papers
    count, is always part of the kernels of such files. `no_pixels` tells why a quantised input,
    which then takes floats, does not stand for pixels.
    """

    model: onnx.ModelProto
    title: str
    files: tuple[SourceFile, ...]
    resolution: int | None = None
    preset: Preset | None = None
    judge: Judge | None = None
    unjudged: str | None = None
    folded: bool = False
    no_pixels: str | None = None
    labels: OwnLabels | None = None


def read_source(path: Path, kind: Kind | None, choices: Choices) -> Source | None:
    """Read a file of a graph; None for one of weights alone.

    Raises:
        Refused: it cannot be read, or not be translated.
    """
    if choices.activation is not None and kind != "torch":
        raise Refused(f"{NO_HEAD} Remove --activation.")
    if kind == "tflite":
        return _tflite(path, choices)
    if kind == "keras":
        return _keras(path, choices)
    if kind == "torch":
        return _torch(path, choices)
    return onnx_source(path, choices)


def onnx_source(path: Path, choices: Choices) -> Source:
    """Read an ONNX file.

    Raises:
        Refused: it cannot be read, or cannot become a served classifier.
    """
    model = admit(path)
    original = onnx.ModelProto()
    original.CopyFrom(model)
    judge = OnnxJudge.of(model, choices.output)
    no_pixels, affine = None, input_affine(original)
    if affine is not None and not choices.as_stored:
        ends = _ends(*affine, signed=judge is not None and judge.signed)
        if not _are_pixels(*ends):
            judge, no_pixels = judge or OnnxJudge(original, choices.output), _no_pixel_scale(*ends)
            with_float_input(model)
    exporter = f"{model.producer_name} {model.producer_version}".strip() or "unknown"
    files = source_files(path)
    return Source(model, f"ONNX of {exporter}", files, judge=judge, no_pixels=no_pixels)


def _tflite(path: Path, choices: Choices) -> Source:
    if path.stat().st_size > MAX_BYTES:
        raise Refused(f"{path} is larger than 1 GB, which no MobileNet is.")
    try:
        graph = read_graph(path)
        no_pixels = None
        floats = takes_floats(graph)
        if not floats and not choices.as_stored and not _are_pixels(*_ends_of(graph)):
            no_pixels, floats = _no_pixel_scale(*_ends_of(graph)), True
        judge = LiteRT.of(path, graph)
        model = translate(graph, float_input=floats)
    except CheckpointError as error:
        text = str(error)
        raise Refused(text if text.startswith(path.name) else f"{path.name}: {text}") from error
    files = (SourceFile(name=path.name, sha256=sha256_of(path)),)
    stated = read_metadata(path)
    return Source(
        model,
        f"TFLite, {_arithmetic(graph)}",
        files,
        resolution=graph.tensors[graph.input].shape[2],  # of either layout
        preset=published(files) or _habits(stated_scaling(stated), graph),
        no_pixels=no_pixels,
        judge=judge,
        folded=True,
        unjudged=None if judge else "not judged: LiteRT can, with `pip install '.[import]'`",
        labels=None if choices.labels else stated_labels(path, stated),
    )


def _habits(stated: InputScaling | None, graph: Graph) -> Preset:
    """How TFLite files are fed, with the scaling that one of them states."""
    preset = usual("tflite_float", "usual for TFLite")
    if stated is not None:
        return replace(preset, scaling=stated, scaling_by=METADATA)
    calibrated = _calibrated(graph)
    if calibrated is None:
        return preset
    return replace(preset, scaling=calibrated, scaling_by="the range of its first QUANTIZE")


def _calibrated(graph: Graph) -> InputScaling | None:
    """The scaling by the range to which floats that go in are rounded, if it is a usual one."""
    readers = [one for one in graph.operators if graph.input in one.inputs]
    if len(readers) != 1 or readers[0].kind != "QUANTIZE":
        return None
    tensor = graph.tensors[readers[0].outputs[0]]
    if not is_integer(tensor) or len(tensor.scales) != 1:
        return None
    ends = _ends(tensor.scales[0], tensor.zero_points[0], signed=tensor.dtype != "u1")
    found = next((usual for usual in PIXEL_RANGES if _close(ends, usual)), None)
    return PIXEL_RANGES[found] if found is not None else None


def _keras(path: Path, choices: Choices) -> Source | None:
    """A whole saved model; None for weights alone."""
    if path.stat().st_size > MAX_BYTES:
        raise Refused(f"{path} is larger than 1 GB, which no MobileNet is.")
    try:
        graph = _keras_graph(path, choices)
        model = translate(graph) if graph is not None else None
    except CheckpointError as error:
        text = str(error)
        raise Refused(text if text.startswith(path.name) else f"{path.name}: {text}") from error
    if graph is None or model is None:
        return None
    judge, unjudged = judgement(path)
    files = (SourceFile(name=path.name, sha256=sha256_of(path)),)
    return Source(
        model,
        "Keras, a whole model",
        files,
        resolution=graph.tensors[graph.input].shape[1],
        preset=published(files) or usual("keras", "usual for Keras"),
        judge=judge,
        unjudged=unjudged,
        folded=True,
    )


def _keras_graph(path: Path, choices: Choices) -> Graph | None:
    try:
        return keras.read_graph(path, choices.resolution)
    except keras.AnySizeError:
        question = resolution_question("the model takes images of any size.")
        side = choices.questions.ask(question, STAND_IN_SIDE, tentative=True)
        return keras.read_graph(path, side)


def _torch(path: Path, choices: Choices) -> Source | None:
    """A state dict with a head of several layers; None for one of the family's own."""
    if path.stat().st_size > MAX_BYTES:
        raise Refused(f"{path} is larger than 1 GB, which no MobileNet is.")
    try:
        headed = read_headed(path, choices)
        model = translate(headed.graph) if headed is not None else None
    except CheckpointError as error:
        text = str(error)
        raise Refused(text if text.startswith(path.name) else f"{path.name}: {text}") from error
    if headed is None or model is None:
        if choices.activation is not None:
            raise Refused(f"{NO_HEAD} Remove --activation.")
        return None
    title, habits = TITLES[headed.format]
    return Source(
        model,
        f"{title}, with a head of several layers",
        (SourceFile(name=path.name, sha256=sha256_of(path)),),
        resolution=headed.graph.tensors[headed.graph.input].shape[1],
        preset=usual(headed.format, f"usual for {habits}"),
        unjudged="not judged: a file of weights has no graph that torch could run",
        folded=True,
    )


def _ends_of(graph: Graph) -> tuple[float, float]:
    tensor = graph.tensors[graph.input]
    if not tensor.scales:
        return _ends(1, 0, signed=False)
    [scale], [zero_point] = tensor.scales, tensor.zero_points
    return _ends(float(scale), int(zero_point), signed=tensor.dtype != "u1")


def _ends(scale: float, zero_point: int, *, signed: bool) -> tuple[float, float]:
    """What the darkest and the lightest pixel stand for."""
    darkest = -128 if signed else 0
    return (darkest - zero_point) * scale, (darkest + 255 - zero_point) * scale


def _arithmetic(graph: Graph) -> str:
    integers = [tensor for tensor in graph.tensors if is_integer(tensor) and len(tensor.shape) > 1]
    if any(tensor.values is None for tensor in integers):
        return "quantised"
    return DYNAMIC if integers else "float"


def _are_pixels(low: float, high: float) -> bool:
    """Whether integers of an input are pixels, by what the ends of their range stand for."""
    return any(_close((low, high), usual) for usual in PIXEL_RANGES)


def _close(found: tuple[float, float], wanted: tuple[float, float]) -> bool:
    near = 0.02 * (found[1] - found[0])
    return all(abs(one - other) <= near for one, other in zip(found, wanted, strict=True))


def _no_pixel_scale(low: float, high: float) -> str:
    return (
        f"the quantised input ranges from {low:.3g} to {high:.3g}, which is no range of pixels: it "
        "was calibrated on other inputs, or on pixels scaled in another way."
    )
