"""Quantization of a float graph whose layers are unknown, with onnxruntime's own tool."""

import contextlib
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import onnx
from onnxruntime.quantization import (
    CalibrationDataReader,
    CalibrationMethod,
    QuantFormat,
    QuantType,
    quantize_static,
)
from onnxruntime.quantization.shape_inference import quant_pre_process

from app.arrays import Uint8Array
from app.card.card import INPUT, Cost, ModelCard
from app.model.runtime import new_session
from models.files.onnx_file import read_model
from models.onnx_cost.graph_cost import graph_cost
from models.progress import Progress, StepCounter
from models.quantization.agreement import agreement, probabilities
from models.quantization.methods import Method
from models.quantization.photo_split import PhotoSplit
from models.quantization.trial import Trial

METHODS = (Method("minmax"), Method("quantile", ranges="percentile"))
CALIBRATIONS = {
    "minmax": CalibrationMethod.MinMax,
    "quantile": CalibrationMethod.Percentile,  # 99.999 %
}
OPERATORS = ["Add", "Clip", "Concat", "Conv", "Gemm", "GlobalAveragePool", "MatMul", "Relu"]
MAX_IMAGES = 64  # whose activations the tool keeps all at once


class GraphQuantizer:
    """One float graph with the images that calibrate it."""

    methods: Sequence[Method] = METHODS

    def __init__(self, path: Path, card: ModelCard, photos: PhotoSplit, progress: Progress) -> None:
        self.path, self.card, self.photos, self.progress = path, card, photos, progress
        self.session = new_session(path)
        self.reference = probabilities(self.session, photos.comparison)

    def compare(self, methods: Sequence[Method]) -> Iterator[Trial]:
        on_method = StepCounter(self.progress, "comparing methods", len(methods))
        for method in methods:
            session = new_session(self._quantized(method).SerializeToString())
            scores = probabilities(session, self.photos.comparison)
            yield Trial(method, agreement(self.reference, scores))
            on_method()

    def graph(self, trial: Trial) -> onnx.ModelProto:
        return self._quantized(trial.method)

    def cost(self, graph: onnx.ModelProto) -> Cost:
        return graph_cost(graph, self.card.resolution)

    def _quantized(self, method: Method) -> onnx.ModelProto:
        with TemporaryDirectory() as folder, _silent():
            prepared, made = Path(folder) / "prepared.onnx", Path(folder) / "made.onnx"
            quant_pre_process(str(self.path), str(prepared), skip_symbolic_shape=True)
            quantize_static(
                str(prepared),
                str(made),
                _Images(self.photos.calibration),
                quant_format=QuantFormat.QDQ,
                op_types_to_quantize=OPERATORS,
                per_channel=True,
                activation_type=QuantType.QUInt8,
                weight_type=QuantType.QInt8,
                calibrate_method=CALIBRATIONS[method.name],
            )
            return read_model(made)


class _Images(CalibrationDataReader):  # type: ignore[misc]  # onnxruntime has no types
    """Images spread over all that calibrate."""

    def __init__(self, images: Sequence[Uint8Array]) -> None:
        step = -(-len(images) // MAX_IMAGES)
        self._images = iter(images[::step])

    def get_next(self) -> dict[str, Uint8Array] | None:
        image = next(self._images, None)
        return None if image is None else {INPUT: image}


@contextlib.contextmanager
def _silent() -> Iterator[None]:
    """Discard what the tool prints."""
    with (
        Path(os.devnull).open("w", encoding="utf-8") as nothing,
        contextlib.redirect_stdout(nothing),
    ):
        yield
