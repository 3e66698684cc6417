"""Post-training quantization of a float model, with the method that measures best."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import onnx
import onnxruntime

from app.card.card import Cost, ModelCard, QuantizationReport
from app.images.limits import ImageLimits
from app.model.runtime import new_session
from app.system.atomic_file import atomic_write
from app.system.cpu import device
from models.export.export import POST_TRAINING, post_training_card, write_checked
from models.export.exported import Exported, ForeignGraphError
from models.export.graph import build_graph
from models.export.post_training_graph import PostTrainingWriter
from models.export.self_test import compute_self_test
from models.importing.report import free_name
from models.importing.weights.rebuild import float_form
from models.network.cost import network_cost
from models.progress import Progress, StepCounter
from models.quantization.agreement import agreement, probabilities
from models.quantization.calibration import observe
from models.quantization.core_time import core_ms
from models.quantization.graph_quantizer import GraphQuantizer
from models.quantization.measured_bias import measure_bias
from models.quantization.methods import METHODS, Method, calibrate
from models.quantization.photo_split import PhotoSplit, split_photos
from models.quantization.trial import Trial, choose_trial
from models.recipes.file import make_recipe, write_from_recipe
from models.recipes.integers import CalibratedNumbers, integer_form
from models.recipes.recipe import Measured, Recipe, as_text
from models.zoo.zoo import zoo


class Quantizer:
    """One float model with the calibration that every method uses."""

    methods: Sequence[Method] = METHODS

    def __init__(self, path: Path, model: Exported, photos: PhotoSplit, progress: Progress) -> None:
        self.path, self.model, self.photos, self.progress = path, model, photos, progress
        self.found: dict[str, CalibratedNumbers] = {}
        self.session = new_session(path)
        images = photos.calibration
        on_image = StepCounter(progress, "observing activations", len(images))
        self.activations = observe(path, model.network, images, on_image)
        self.reference = probabilities(self.session, photos.comparison)

    def compare(self, methods: Sequence[Method]) -> Iterator[Trial]:
        on_method = StepCounter(self.progress, "comparing methods", len(methods))
        for method in methods:
            session = new_session(self._graph(self.numbers(method)).SerializeToString())
            scores = probabilities(session, self.photos.comparison)
            yield Trial(method, agreement(self.reference, scores))
            on_method()

    def graph(self, trial: Trial) -> onnx.ModelProto:
        return self._graph(self.numbers(trial.method))

    def cost(self, _: onnx.ModelProto) -> Cost:
        return network_cost(self.model.network, "int8", float_head=True)

    def numbers(self, method: Method) -> CalibratedNumbers:
        """What the method finds; found once."""
        if method.name not in self.found:
            found = calibrate(self.model, self.activations, method)
            if method.measure_bias:
                on_layer = StepCounter(self.progress, "measuring biases", len(found.layers))
                images = self.photos.calibration
                found = measure_bias(self.model, self.path, found, images, on_layer)
            self.found[method.name] = found
        return self.found[method.name]

    def _graph(self, numbers: CalibratedNumbers) -> onnx.ModelProto:
        network, layers = self.model.network, self.model.checkpoint.layers
        writer = PostTrainingWriter(integer_form(network, layers, numbers))
        return build_graph(network, writer, self.model.background)


AnyQuantizer = Quantizer | GraphQuantizer
OpenQuantizer = Callable[[PhotoSplit, Progress], AnyQuantizer]


def quantize(
    path: Path,
    folder: Path,
    *,
    calibration: Path,
    holdout: Path | None = None,
    images: int = 256,
    method: str | None = None,
    name: str | None = None,
    recipe: Path | None = None,
    force: bool = False,
    limits: ImageLimits,
    progress: Progress,
) -> dict[str, Any]:
    """Quantize the float model at `path`, write it into `folder`, and return the report.

    `recipe` is a file to write what calibration found into; the model is then the one that this
    recipe makes anywhere. `force` replaces an existing model of the same name.

    Raises:
        ValueError: the model is quantized already, the method is not one for it, photos are
            missing, the name is malformed, belongs to the zoo or exists already, or a recipe is
            asked for a graph whose layers are unknown.
    """
    with _opened(path) as (card, known, open_quantizer):
        methods = _chosen(method, known)
        name = free_name_for(card, name, recipe)
        target = folder / f"{name}.onnx"
        if target.exists() and not force:
            raise ValueError(
                f"{target} exists already. Choose another name with --name, or replace it with "
                "--force."
            )
        photos = split_photos(card, calibration, holdout, images, limits, progress)
        quantizer = open_quantizer(photos, progress)
        if recipe and not isinstance(quantizer, Quantizer):
            raise ValueError(f"The layers of {card.name} are unknown, so it can have no recipe.")
        trials = list(quantizer.compare(methods))
        best = choose_trial(trials)
        graph = quantizer.graph(best)
        session = new_session(graph.SerializeToString())
        report, times = _report(card, best, quantizer, session)
        if recipe and isinstance(quantizer, Quantizer):
            made = _recipe(quantizer, best, name, report)
            with atomic_write(recipe) as file:
                file.write(as_text(made).encode())
            write_from_recipe(quantizer.model, made, folder)
        else:
            timed = report.model_copy(update=times)
            cost = quantizer.cost(graph)
            self_test = compute_self_test(graph, card.resolution) if card.channels == 3 else None
            write_checked(graph, post_training_card(card, name, cost, timed), folder, self_test)
    return {
        "model": name,
        "file": str(target),
        "file_bytes": target.stat().st_size,
        "recipe": str(recipe) if recipe else None,
        **report.model_dump(mode="json"),
        **times,
        "ladder": [trial.as_data() for trial in trials],
    }


def _report(
    card: ModelCard, trial: Trial, quantizer: AnyQuantizer, session: Any
) -> tuple[QuantizationReport, dict[str, Any]]:
    """The report without times, and the times of both models on this device."""
    photos = quantizer.photos
    result = agreement(
        probabilities(quantizer.session, photos.report), probabilities(session, photos.report)
    )
    report = QuantizationReport(
        source=card.name,
        method=trial.method.name,
        calibration_images=len(photos.calibration),
        compared_images=result.images,
        top1_agreement=round(100 * result.top1_agreement, 2),
        probability_difference=round(result.probability_difference, 5),
        float_ms=None,
        int8_ms=None,
        device=None,
    )
    float_ms, int8_ms = core_ms((quantizer.session, session), photos.report[:1] * 2)
    times = {"float_ms": round(float_ms, 3), "int8_ms": round(int8_ms, 3), "device": device()}
    return report, times


def _recipe(quantizer: Quantizer, trial: Trial, name: str, report: QuantizationReport) -> Recipe:
    photos = quantizer.photos
    held_out = photos.report_files
    measured = Measured(
        by=f"models quantize, onnxruntime {onnxruntime.__version__}, {device()}",
        photos=held_out[0].parent.name if held_out else "views of the comparison photos",
        images=report.compared_images,
        top1_agreement=report.top1_agreement,
    )
    return make_recipe(
        quantizer.model,
        quantizer.numbers(trial.method),
        name,
        report,
        (photos.calibration_files, photos.comparison_files),
        (measured,),
    )


def free_name_for(card: ModelCard, name: str | None, recipe: Path | None) -> str:
    """The name of the quantized model; that of the zoo's is for the recipe of it.

    Raises:
        ValueError: it is malformed or belongs to the zoo.
    """
    usual = f"{card.name}_{POST_TRAINING}"
    if recipe and name in {None, usual}:
        return usual
    return free_name(name or (f"{card.name}_own_{POST_TRAINING}" if usual in zoo() else usual))


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
