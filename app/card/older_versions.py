"""Cards of versions 1 to 4, brought to version 5 as JSON objects.

- Version 2 added `quantization`.
- Version 3 added `measured`.
- Version 4 added `precision_origin`, `channels`, `head_activation`, `background` and `base_sha256`,
  and renamed `same_first_class` of the quantization report to `top1_agreement`.
- Version 5 removed `float_layers` of the quantization report: onnxruntime computed those layers in
  integers too. Times and device of the report may be null.

What version 4 added is derived from the older fields. Values of the wrong type pass through:
validation names them afterwards.
"""

from typing import Any

Json = dict[str, Any]


def upgrade(data: Any) -> Any:
    """A card's JSON object at the newest version; anything else unchanged.

    A card with a field that is newer than its version stays as it came, so that validation rejects
    its version.
    """
    if not isinstance(data, dict):
        return data
    if data.get("card_version") == 1 and "quantization" not in data:
        data = {**data, "card_version": 2, "quantization": None}
    if data.get("card_version") == 2 and "measured" not in data:
        data = {**data, "card_version": 3, "measured": []}
    if data.get("card_version") == 3:
        data = _to_version_4(data)
    return _to_version_5(data) if data.get("card_version") == 4 else data


def _to_version_5(card: Json) -> Json:
    report = card.get("quantization")
    if not isinstance(report, dict):
        return {**card, "card_version": 5}
    if "float_layers" not in report:
        return card
    kept = {key: value for key, value in report.items() if key != "float_layers"}
    return {**card, "quantization": kept, "card_version": 5}


def _to_version_4(card: Json) -> Json:
    added: Json = {
        "precision_origin": _precision_origin(card),
        "channels": 3,
        "head_activation": "softmax",
        "background": _background(card),
        "base_sha256": None,
    }
    if not added.keys().isdisjoint(card):
        return card
    report = card.get("quantization")
    if isinstance(report, dict):
        if "top1_agreement" in report:
            return card
        names = {"same_first_class": "top1_agreement"}
        added["quantization"] = {names.get(key, key): value for key, value in report.items()}
    return {**card, **added, "card_version": 4}


def _precision_origin(card: Json) -> str:
    """How the precision came about.

    Among published models, the name part `qat` marked the float form of a quantised file. Imported
    models are named by their owners, so there it meant nothing.
    """
    if card.get("quantization") is not None:
        return "post_training_int8"
    if card.get("precision") == "int8":
        return "publisher_int8"
    name, origin = card.get("name"), card.get("origin")
    published = isinstance(origin, dict) and origin.get("kind") == "published"
    if published and isinstance(name, str) and "qat" in name.split("_"):
        return "float_of_int8"
    return "float"


def _background(card: Json) -> int | None:
    """Class 0, if the last layer with weights has one output more than there are labels."""
    try:
        weighted = [row for row in card["cost"]["layers"] if row["weights"]]
        return 0 if weighted[-1]["output_shape"][0] == len(card["labels"]) + 1 else None
    except (LookupError, TypeError):
        return None
