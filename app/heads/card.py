"""The card of the model that a head makes of its base."""

from app.arrays import Float32Array
from app.card.card import Cost, LayerRow, ModelCard, Origin, SourceFile
from app.heads.head import UNKNOWN


def head_card(
    base: ModelCard,
    base_sha256: str,
    name: str,
    labels: tuple[str, ...],
    references: Float32Array,
) -> ModelCard:
    """The base's card with the head's name, classes and cost.

    `references` [photos, width] are the taught photos that reject what is unknown; with any, the
    last label is `unknown`.
    """
    origin = Origin(
        kind="imported",
        source=f"taught on {base.name}",
        files=(SourceFile(name=f"{base.name}.onnx", sha256=base_sha256),),
        licence=None,
    )
    changes = {
        "name": name,
        "labels": (*labels, UNKNOWN) if len(references) else labels,
        "background": None,
        "head_activation": "softmax",
        "accuracy": None,
        "measured": (),
        "quantization": None,
        "origin": origin,
        "base_sha256": base_sha256,
        "cost": _cost(base.cost, len(labels), *references.shape),
    }
    return ModelCard.model_validate(dict(base) | changes)


def _cost(base: Cost, classes: int, references: int, width: int) -> Cost:
    """The base's cost with its classifier replaced by the head's two products.

    The references are stored, not trained, so they are no parameters.
    """
    *trunk, classifier = base.layers
    rows = [_row("head", width, classes, biases=classes)]
    if references:
        rows.append(_row("references", width, references, biases=0))
    added = sum(row.madds for row in rows)
    weights = rows[0].weights + rows[0].biases
    stored = sum(row.weights + row.biases for row in rows)
    removed = classifier.weights + classifier.biases
    return base.model_copy(
        update={
            "params": base.params - removed + weights,
            "stored_params": base.stored_params - removed + stored,
            "madds": base.madds - classifier.madds + added,
            "classifier_madds": added,
            "standard_params": base.standard_params - removed + weights,
            "standard_madds": base.standard_madds - classifier.madds + added,
            "layers": (*trunk, *rows),
        }
    )


def _row(name: str, width: int, outputs: int, *, biases: int) -> LayerRow:
    return LayerRow(
        name=name,
        kind="linear",
        input_shape=(width, 1, 1),
        output_shape=(outputs, 1, 1),
        kernel=(1, 1),
        stride=1,
        groups=1,
        weights=width * outputs,
        biases=biases,
        batch_norm_params=0,
        madds=width * outputs,
        activation_bytes=4 * outputs,
    )
