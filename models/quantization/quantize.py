"""Post-training quantization of a float model, with the method that measures best."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import onnx

from app.arrays import Float32Array, Uint8Array
from app.card.card import Cost, ModelCard, QuantizationReport
from app.images.limits import ImageLimits
from app.model.runtime import new_session
from app.system.cpu import device
from models.export.export import write_checked
from models.export.exported import Exported, ForeignGraphError
from models.export.graph import build_graph
from models.importing.report import free_name
from models.importing.weights.rebuild import float_form
from models.network.cost import network_cost
from models.progress import Progress, StepCounter
from models.quantization.agreement import agreement, probabilities
from models.quantization.calibration import observe
from models.quantization.core_time import core_ms
from models.quantization.graph_quantizer import GraphQuantizer
from models.quantization.methods import METHODS, Method, QuantizedWeights, quantize_model
from models.quantization.photo_split import PhotoSplit, split_photos
from models.quantization.trial import Trial, choose_trial

SUFFIX = "_ptq"
IMAGES_FOR_SENSITIVITY = 32


class Quantizer:
    """One float model with the calibration that every method uses."""

    methods: Sequence[Method] = METHODS

    def __init__(self, path: Path, model: Exported, photos: PhotoSplit, progress: Progress) -> None:
        self.model, self.photos, self.progress = model, photos, progress
        self.session = new_session(path)
        images = photos.calibration
        on_image = StepCounter(progress, "observing activations", len(images))
        self.activations = observe(path, model.network, images, on_image)
        self.reference = probabilities(self.session, photos.comparison)

    def compare(self, methods: Sequence[Method]) -> Iterator[Trial]:
        on_method = StepCounter(self.progress, "comparing methods", len(methods))
        for method in methods:
            weights = quantize_model(self.model, self.activations, method)
            layers = self._most_sensitive(weights, method.float_layers)
            scores = self._probabilities(weights, layers, self.photos.comparison)
            yield Trial(method, layers, agreement(self.reference, scores))
            on_method()

    def graph(self, trial: Trial) -> onnx.ModelProto:
        weights = quantize_model(self.model, self.activations, trial.method)
        return self._graph(weights, trial.float_layers)

    def cost(self, _: onnx.ModelProto) -> Cost:
        return network_cost(self.model.network, "int8")

    def _graph(self, weights: QuantizedWeights, float_layers: Sequence[str]) -> onnx.ModelProto:
        writer = weights.writer(float_layers)
        return build_graph(self.model.network, writer, self.model.background)

    def _probabilities(
        self, weights: QuantizedWeights, float_layers: Sequence[str], images: Sequence[Uint8Array]
    ) -> Float32Array:
        session = new_session(self._graph(weights, float_layers).SerializeToString())
        return probabilities(session, images)

    def _most_sensitive(self, weights: QuantizedWeights, count: int) -> tuple[str, ...]:
        """The layers that reduce the divergence most when each alone stays in float."""
        if not count:
            return ()
        images = self.photos.comparison[:IMAGES_FOR_SENSITIVITY]
        # The first layer stays quantized: it reads the image, which is in integers.
        names = [node.name for node in self.model.network.nodes if node.name in weights.layers][1:]
        on_layer = StepCounter(self.progress, "looking for sensitive layers", len(names))
        divergences = {}
        for name in names:
            scores = self._probabilities(weights, [name], images)
            divergences[name] = agreement(self.reference[: len(images)], scores).divergence
            on_layer()
        return tuple(sorted(names, key=divergences.__getitem__)[:count])


def quantize(
    path: Path,
    folder: Path,
    *,
    calibration: Path,
    holdout: Path | None = None,
    images: int = 256,
    method: str | None = None,
    name: str | None = None,
    force: bool = False,
    limits: ImageLimits,
    progress: Progress,
) -> dict[str, Any]:
    """Quantize the float model at `path`, write it into `folder`, and return the report.

    `force` replaces an existing model of the same name.

    Raises:
        ValueError: the model is quantized already, the method is not one for it, photos are
            missing, or the name is malformed, belongs to the zoo or exists already.
    """
    with _opened(path) as (card, known, open_quantizer):
        methods = _chosen(method, known)
        name = free_name(name or f"{card.name}{SUFFIX}")
        target = folder / f"{name}.onnx"
        if target.exists() and not force:
            raise ValueError(
                f"{target} exists already. Choose another name with --name, or replace it with "
                "--force."
            )
        photos = split_photos(card, calibration, holdout, images, limits, progress)
        quantizer = open_quantizer(photos, progress)
        trials = list(quantizer.compare(methods))
        best = choose_trial(trials)
        graph = quantizer.graph(best)
    session = new_session(graph.SerializeToString())
    result = agreement(
        probabilities(quantizer.session, photos.report), probabilities(session, photos.report)
    )
    float_ms, int8_ms = core_ms((quantizer.session, session), photos.report[:1] * 2)
    report = QuantizationReport(
        source=card.name,
        method=best.method.name,
        float_layers=best.float_layers,
        calibration_images=len(photos.calibration),
        compared_images=result.images,
        top1_agreement=round(100 * result.top1_agreement, 2),
        probability_difference=round(result.probability_difference, 5),
        float_ms=round(float_ms, 3),
        int8_ms=round(int8_ms, 3),
        device=device(),
    )
    made = _card(card, name, quantizer.cost(graph), report)
    write_checked(graph, made, folder)
    return {
        "model": name,
        "file": str(target),
        "file_bytes": target.stat().st_size,
        **report.model_dump(mode="json"),
        "ladder": [trial.as_data() for trial in trials],
    }


AnyQuantizer = Quantizer | GraphQuantizer
OpenQuantizer = Callable[[PhotoSplit, Progress], AnyQuantizer]


@contextmanager
def _opened(path: Path) -> Iterator[tuple[ModelCard, Sequence[Method], OpenQuantizer]]:
    """The card of a float model, the methods for it, and what quantizes it."""
    with ExitStack() as stack:
        try:
            model, file = stack.enter_context(float_form(path))
        except ForeignGraphError as error:
            if error.card.precision != "fp32":
                raise
            yield error.card, GraphQuantizer.methods, partial(GraphQuantizer, path, error.card)
        else:
            yield model.card, Quantizer.methods, partial(Quantizer, file, model)


def _chosen(name: str | None, methods: Sequence[Method]) -> Sequence[Method]:
    if name is None:
        return methods
    if found := [method for method in methods if method.name == name]:
        return found
    names = ", ".join(method.name for method in methods)
    raise ValueError(f"Unknown method {name!r}. Supported for this model: {names}.")


def _card(card: ModelCard, name: str, cost: Cost, report: QuantizationReport) -> ModelCard:
    """The card of the quantized model, without accuracy, which is the float model's."""
    changes = {
        "name": name,
        "precision": "int8",
        "precision_origin": "post_training_int8",
        "accuracy": None,
        "measured": (),
        "cost": cost,
        "quantization": report,
    }
    return ModelCard.model_validate(dict(card) | changes)
