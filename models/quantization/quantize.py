"""Quantise a float model of the store after training, by what measurements say is best.

Photos are parted: three of four calibrate, the fourth is what the methods are compared on. Views
of one photo never fall into both parts.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import onnx

from app.arrays import Float32Array, Uint8Array
from app.card.card import ModelCard, QuantizationReport
from app.images.decode import ImageLimits
from app.model.runtime import new_session
from app.system.cpu import device
from models.export.export import write_checked
from models.export.exported import Exported
from models.export.graph import build_graph
from models.importing.rebuild import float_form
from models.importing.report import free_name
from models.network.cost import network_cost
from models.photos.views import collect_views, photo_files
from models.quantization.agreement import Agreement, agreement, probabilities
from models.quantization.calibration import Activations, observe
from models.quantization.core_time import core_ms
from models.quantization.methods import LADDER, Method, Prepared, prepare

# How much of a task is done, and how much there is.
Progress = Callable[[str, int, int], None]

SUFFIX = "_ptq"
HELD_BACK = 4
LEAST_PHOTOS = 4
VIEWS_FOR_SENSITIVITY = 32
# A rung has to be this much better than the best one below: the simpler method is preferred.
WORTHWHILE = 0.95


@dataclass(frozen=True, slots=True)
class Rung:
    """A method and how near it came to the float model."""

    method: Method
    float_layers: tuple[str, ...]
    result: Agreement


@dataclass(frozen=True, slots=True)
class Quantized:
    """The file that was written, its card, and all rungs that were tried."""

    path: Path
    card: ModelCard
    rungs: tuple[Rung, ...]


@dataclass(frozen=True, slots=True)
class Pictures:
    """What calibrates, what methods are compared on, and what the card's figures come from."""

    calibration: list[Uint8Array]
    comparison: list[Uint8Array]
    report: list[Uint8Array]


@dataclass(slots=True)
class Counter:
    """Tells the progress of one task."""

    tell: Progress
    task: str
    total: int
    done: int = field(default=0, init=False)

    def __call__(self) -> None:
        self.done += 1
        self.tell(self.task, self.done, self.total)


def pictures(
    card: ModelCard,
    calibration: Path,
    holdout: Path | None,
    count: int,
    limits: ImageLimits,
    progress: Progress,
) -> Pictures:
    """Read the photos and part them; `holdout` is a folder for the card's figures alone.

    Raises:
        ValueError: a folder is missing, too small, or has a file that is no image, or both have
            the same one.
    """
    files = photo_files(calibration)
    if len(files) < LEAST_PHOTOS:
        raise ValueError(
            f"{calibration} has {len(files)} photos; {LEAST_PHOTOS} are the fewest that can be "
            "parted into what calibrates and what compares, and 100 are better"
        )
    others = photo_files(holdout) if holdout else []
    if shared := {path.resolve() for path in files} & {path.resolve() for path in others}:
        raise ValueError(
            f"{min(shared)} is in {calibration} and in {holdout}: what calibrates cannot tell how "
            "others fare"
        )
    kept = [path for at, path in enumerate(files) if at % HELD_BACK]
    parts = (kept, files[::HELD_BACK], others)
    read = Counter(progress, "reading photos", sum(min(count, len(part)) for part in parts))
    calibrating, comparing, reported = (
        collect_views(part, card, limits, count, read) if part else [] for part in parts
    )
    return Pictures(calibrating, comparing, reported or comparing)


class Quantizer:
    """One float model, observed once, and every way to quantise it."""

    def __init__(self, path: Path, model: Exported, material: Pictures, progress: Progress) -> None:
        self.path, self.model, self.material, self.progress = path, model, material, progress
        self.session = new_session(path)
        images = material.calibration
        self.activations: dict[str, Activations] = observe(
            path, model.network, images, Counter(progress, "observing activations", len(images))
        )
        self.reference = probabilities(self.session, material.comparison)

    def climb(self, methods: Sequence[Method]) -> Iterator[Rung]:
        """Try methods one after another."""
        count = Counter(self.progress, "comparing methods", len(methods))
        for method in methods:
            prepared = prepare(self.model, self.activations, method)
            layers = self._most_sensitive(prepared, method.float_layers)
            answers = self._answers(prepared, layers, self.material.comparison)
            yield Rung(method, layers, agreement(self.reference, answers))
            count()

    def graph(self, prepared: Prepared, float_layers: Sequence[str]) -> onnx.ModelProto:
        """The quantised model with these layers in float."""
        writer = prepared.writer(float_layers)
        return build_graph(self.model.network, writer, self.model.background)

    def _answers(
        self, prepared: Prepared, float_layers: Sequence[str], images: Sequence[Uint8Array]
    ) -> Float32Array:
        session = new_session(self.graph(prepared, float_layers).SerializeToString())
        return probabilities(session, images)

    def _most_sensitive(self, prepared: Prepared, wanted: int) -> tuple[str, ...]:
        """The layers that bring the answers nearest when they alone are left in float."""
        if not wanted:
            return ()
        images = self.material.comparison[:VIEWS_FOR_SENSITIVITY]
        # The first layer reads the image, which is in integers.
        names = [node.name for node in self.model.network.nodes if node.name in prepared.layers][1:]
        count = Counter(self.progress, "looking for sensitive layers", len(names))
        divergences = {}
        for name in names:
            answers = self._answers(prepared, [name], images)
            divergences[name] = agreement(self.reference[: len(images)], answers).divergence
            count()
        return tuple(sorted(names, key=divergences.__getitem__)[:wanted])


def choose(rungs: Sequence[Rung]) -> Rung:
    """The lowest rung that none above is worth leaving for."""
    best = rungs[0]
    for rung in rungs[1:]:
        if rung.result.divergence < WORTHWHILE * best.result.divergence:
            best = rung
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
) -> Quantized:
    """Quantise the float model at `path` and write it into `folder`.

    `force` writes over a model of that name.

    Raises:
        ValueError: the model's layers cannot be told or are integers, photos are missing, or the
            name is malformed, one of the zoo's, or that of a file that is there.
    """
    with float_form(path) as (model, file):
        draft = _draft(model, free_name(name or f"{model.card.name}{SUFFIX}"))
        target = folder / f"{draft.name}.onnx"
        if target.exists() and not force:
            raise ValueError(
                f"{target} is there already; --name names another, --force replaces it"
            )
        material = pictures(model.card, calibration, holdout, images, limits, progress)
        quantizer = Quantizer(file, model, material, progress)
    rungs = tuple(quantizer.climb([method] if method else LADDER))
    best = choose(rungs)
    prepared = prepare(model, quantizer.activations, best.method)
    graph = quantizer.graph(prepared, best.float_layers)
    session = new_session(graph.SerializeToString())
    reached = _compare(quantizer.session, session, material.report)
    float_ms, int8_ms = core_ms((quantizer.session, session), material.report[:1] * 2)
    report = QuantizationReport(
        source=model.card.name,
        method=best.method.name,
        float_layers=best.float_layers,
        calibration_images=len(material.calibration),
        compared_images=reached.images,
        same_first_class=round(100 * reached.share, 2),
        probability_difference=round(reached.probability_difference, 5),
        float_ms=round(float_ms, 3),
        int8_ms=round(int8_ms, 3),
        device=device(),
    )
    card = draft.model_copy(update={"quantization": report})
    return Quantized(write_checked(graph, card, folder), card, rungs)


def _compare(reference: Any, session: Any, images: Sequence[Uint8Array]) -> Agreement:
    return agreement(probabilities(reference, images), probabilities(session, images))


def _draft(model: Exported, name: str) -> ModelCard:
    """The card without its report. Accuracy is the float model's, so it goes."""
    changes: dict[str, Any] = {
        "name": name,
        "precision": "int8",
        "accuracy": None,
        "measured": (),
        "cost": network_cost(model.network, "int8"),
    }
    return ModelCard.model_validate(dict(model.card) | changes)


def as_data(done: Quantized) -> dict[str, Any]:
    """What was done, for JSON."""
    assert done.card.quantization is not None  # noqa: S101  it was just written
    return {
        "model": done.card.name,
        "file": str(done.path),
        "file_bytes": done.path.stat().st_size,
        **done.card.quantization.model_dump(mode="json"),
        "ladder": [
            {
                "method": rung.method.name,
                "compared_images": rung.result.images,
                "float_layers": list(rung.float_layers),
                "same_first_class": round(100 * rung.result.share, 2),
                "probability_difference": round(rung.result.probability_difference, 5),
                "divergence": round(rung.result.divergence, 5),
            }
            for rung in done.rungs
        ],
    }
