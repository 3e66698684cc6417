"""Post-training quantization of a float model, with the method that measures best."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import onnx

from app.arrays import Float32Array, Uint8Array
from app.card.card import ModelCard, QuantizationReport
from app.images.limits import ImageLimits
from app.model.runtime import new_session
from app.system.cpu import device
from models.export.export import write_checked
from models.export.exported import Exported
from models.export.graph import build_graph
from models.importing.report import free_name
from models.importing.weights.rebuild import float_form
from models.network.cost import network_cost
from models.progress import Progress, StepCounter
from models.quantization.agreement import Agreement, agreement, probabilities
from models.quantization.calibration import observe
from models.quantization.core_time import core_ms
from models.quantization.methods import METHODS, Method, QuantizedWeights, quantize_model
from models.quantization.photo_split import PhotoSplit, split_photos

SUFFIX = "_ptq"
IMAGES_FOR_SENSITIVITY = 32
# The simpler method is preferred unless the divergence falls below this share of its own.
REQUIRED_IMPROVEMENT = 0.95


@dataclass(frozen=True, slots=True)
class Trial:
    method: Method
    float_layers: tuple[str, ...]
    result: Agreement

    def as_data(self) -> dict[str, Any]:
        return {
            "method": self.method.name,
            "compared_images": self.result.images,
            "float_layers": list(self.float_layers),
            "top1_agreement": round(100 * self.result.top1_agreement, 2),
            "probability_difference": round(self.result.probability_difference, 5),
            "divergence": round(self.result.divergence, 5),
        }


class Quantizer:
    """One float model with the calibration that every method uses."""

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

    def graph(self, weights: QuantizedWeights, float_layers: Sequence[str]) -> onnx.ModelProto:
        writer = weights.writer(float_layers)
        return build_graph(self.model.network, writer, self.model.background)

    def _probabilities(
        self, weights: QuantizedWeights, float_layers: Sequence[str], images: Sequence[Uint8Array]
    ) -> Float32Array:
        session = new_session(self.graph(weights, float_layers).SerializeToString())
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


def choose_trial(trials: Sequence[Trial]) -> Trial:
    """The trial of the simplest method that no later one clearly improves on."""
    best = trials[0]
    for trial in trials[1:]:
        if trial.result.divergence < REQUIRED_IMPROVEMENT * best.result.divergence:
            best = trial
    return best


def quantize(
    path: Path,
    folder: Path,
    *,
    calibration: Path,
    holdout: Path | None = None,
    images: int = 256,
    method: Method | None = None,
    name: str | None = None,
    force: bool = False,
    limits: ImageLimits,
    progress: Progress,
) -> dict[str, Any]:
    """Quantize the float model at `path`, write it into `folder`, and return the report.

    `force` replaces an existing model of the same name.

    Raises:
        ValueError: the model is quantized already or its layers are unknown, photos are missing, or
            the name is malformed, belongs to the zoo or exists already.
    """
    with float_form(path) as (model, file):
        draft = _draft(model, free_name(name or f"{model.card.name}{SUFFIX}"))
        target = folder / f"{draft.name}.onnx"
        if target.exists() and not force:
            raise ValueError(
                f"{target} exists already. Choose another name with --name, or replace it with "
                "--force."
            )
        photos = split_photos(model.card, calibration, holdout, images, limits, progress)
        quantizer = Quantizer(file, model, photos, progress)
    trials = list(quantizer.compare([method] if method else METHODS))
    best = choose_trial(trials)
    weights = quantize_model(model, quantizer.activations, best.method)
    graph = quantizer.graph(weights, best.float_layers)
    session = new_session(graph.SerializeToString())
    result = agreement(
        probabilities(quantizer.session, photos.report), probabilities(session, photos.report)
    )
    float_ms, int8_ms = core_ms((quantizer.session, session), photos.report[:1] * 2)
    report = QuantizationReport(
        source=model.card.name,
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
    write_checked(graph, draft.model_copy(update={"quantization": report}), folder)
    return {
        "model": draft.name,
        "file": str(target),
        "file_bytes": target.stat().st_size,
        **report.model_dump(mode="json"),
        "ladder": [trial.as_data() for trial in trials],
    }


def _draft(model: Exported, name: str) -> ModelCard:
    """The card without its report, and without accuracy, which is the float model's."""
    changes = {
        "name": name,
        "precision": "int8",
        "precision_origin": "post_training_int8",
        "accuracy": None,
        "measured": (),
        "cost": network_cost(model.network, "int8"),
    }
    return ModelCard.model_validate(dict(model.card) | changes)
