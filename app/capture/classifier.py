"""A classifier that offers each classified image to be kept."""

from dataclasses import dataclass, fields, replace

from app.arrays import Uint8Array
from app.capture.rule import CaptureRule
from app.capture.writer import CaptureWriter, Offer
from app.card.card import EMBEDDING, PROBABILITIES
from app.inference.classify import Classifier, ImageRun
from app.inference.helper_decode import Decoded
from app.model.model import Model


@dataclass(frozen=True, slots=True, kw_only=True)
class CapturingClassifier(Classifier):
    """A classifier whose runs also compute the embedding, which tells images that are alike.

    Every way to an answer passes through `run`: /predict, the Open Inference Protocol, batches.
    Pixels without a file and requests without probabilities are not offered.
    """

    rule: CaptureRule
    writer: CaptureWriter

    def run(
        self,
        source: bytes | Uint8Array,
        queue_ms: float = 0.0,
        decoded: Decoded | None = None,
        *,
        model: Model,
        resolution: int,
        outputs: tuple[str, ...] = (PROBABILITIES,),
    ) -> ImageRun:
        """As `Classifier.run`."""
        image = source if isinstance(source, bytes) and PROBABILITIES in outputs else None
        wanted = outputs
        if image and EMBEDDING not in outputs and EMBEDDING in model.outputs:
            wanted = (*outputs, EMBEDDING)
        # Without arguments, super() would look for the class that slots=True replaced.
        run = Classifier.run(
            self, source, queue_ms, decoded, model=model, resolution=resolution, outputs=wanted
        )
        if image:
            found = dict(zip(wanted, run.outputs, strict=True))
            if finding := self.rule.apply(model, found[PROBABILITIES]):
                self.writer.offer(Offer(image, finding, resolution, found.get(EMBEDDING)))
        return run if wanted is outputs else replace(run, outputs=run.outputs[: len(outputs)])


def capturing(
    classifier: Classifier, rule: CaptureRule, writer: CaptureWriter
) -> CapturingClassifier:
    """The same classifier, capturing."""
    same = {field.name: getattr(classifier, field.name) for field in fields(classifier)}
    return CapturingClassifier(**same, rule=rule, writer=writer)
