"""The result for one image of several heads."""

from dataclasses import dataclass, field
from json.encoder import encode_basestring as quoted

from app.inference.classify import Classifier, rank
from app.inference.head_group import HeadGroup
from app.inference.helper_decode import Decoded
from app.inference.results import ClassScore, ImageResult


@dataclass(slots=True)
class HeadResult:
    """The classes of one image by one head, in descending order of probability."""

    predictions: list[ClassScore]

    def to_json(self) -> str:
        return f'{{"predictions":[{",".join([each.to_json() for each in self.predictions])}]}}'


@dataclass(slots=True)
class HeadsResult(ImageResult):
    """The classes of one image by each head that `model` names; `predictions` is empty."""

    heads: dict[str, HeadResult] = field(default_factory=dict)

    def to_json(self) -> str:
        found = [f"{quoted(name)}:{one.to_json()}" for name, one in self.heads.items()]
        # Without arguments, super() would look for the class that slots=True replaced.
        return f'{{"heads":{{{",".join(found)}}},{ImageResult.to_json(self)[1:]}'


def classify_by_heads(
    classifier: Classifier,
    data: bytes,
    queue_ms: float = 0.0,
    decoded: Decoded | None = None,
    *,
    model: HeadGroup,
    resolution: int,
    top_k: int,
) -> HeadsResult:
    """What `Classifier.classify` does, with the classes of each head instead of `predictions`."""
    run = classifier.run(data, queue_ms, decoded, model=model, resolution=resolution)
    return HeadsResult(
        predictions=[],
        queue_ms=round(run.queue_ms, 3),
        decode_ms=round(run.decode_ms, 3),
        inference_ms=round(run.inference_ms, 3),
        warnings=list(run.warnings) or None,
        heads={
            head.name: HeadResult(rank(values, head.card.labels, top_k))
            for head, values in model.by_head(run.outputs[0])
        },
    )
