"""One look at a frame, on a worker: has anything changed, and what is it then?"""

from dataclasses import dataclass
from typing import Any, NamedTuple

from app.arrays import Uint8Array
from app.cameras.change_gate import CELLS, ChangeGate
from app.cameras.frames.frame import Frame
from app.cameras.frames.turned import turned
from app.cameras.frames.zone import Rectangle
from app.cameras.label_rule import Observation
from app.inference.classify import Classifier
from app.inference.helper_decode import Decoded
from app.model.model import Model


class Looked(NamedTuple):
    """What a look has found; without an observation nothing has changed."""

    grey: Uint8Array | None
    observation: Observation | None


@dataclass(frozen=True, slots=True)
class Look:
    """A job of the scheduler. The gate is only asked; its camera tells it what became of it."""

    classifier: Classifier
    frame: Frame
    model: Model
    zone: Rectangle
    rotation: int
    gate: ChangeGate | None
    forced: bool  # whether to infer though nothing has changed
    present: str | None  # the label that may end

    def __call__(self, _queue_ms: float, prepared: Any = None) -> Looked:
        """Raises `ImageError` and `Deferred`, as `Classifier.run`."""
        grey = None
        if self.gate is not None:
            grey = self.frame.content.grey(self.zone, CELLS, self.rotation)
            if grey is not None and not self.forced and not self.gate.differs(grey):
                return Looked(grey, None)
        resolution = self.model.card.resolution
        if isinstance(prepared, Decoded):
            pixels = turned(prepared.pixels, self.rotation)
        else:
            pixels = self.frame.content.square(
                self.classifier, self.model, resolution, self.zone, self.rotation
            )
        run = self.classifier.run(pixels, model=self.model, resolution=resolution)
        probabilities, labels = run.outputs[0], self.model.card.labels
        best = int(probabilities.argmax())
        of_present = [
            float(probabilities[index])
            for index, label in enumerate(labels)
            if label == self.present
        ]
        observed = Observation(labels[best], float(probabilities[best]), max(of_present, default=0))
        return Looked(grey, observed)
