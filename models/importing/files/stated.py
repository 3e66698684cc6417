"""What the metadata of a TFLite file state, in the import's own terms."""

from pathlib import Path

from models.checkpoints.tflite.metadata import Metadata
from models.export.graph import InputScaling
from models.importing.dialogue.options import OwnLabels
from models.importing.labels import parse_labels

METADATA = "the file's metadata"


def stated_scaling(stated: Metadata) -> InputScaling | None:
    """Scaling of pixel / 255; None where the file states none that pixels can have."""
    if stated.mean is None or stated.std is None:
        return None
    mean, std = (values * 3 if len(values) == 1 else values for values in (stated.mean, stated.std))
    if len(mean) != 3 or len(std) != 3:
        return None
    if not all(0 <= each <= 255 for each in mean) or not all(0 < each <= 255 for each in std):
        return None
    return InputScaling(
        (mean[0] / 255, mean[1] / 255, mean[2] / 255), (std[0] / 255, std[1] / 255, std[2] / 255)
    )


def stated_labels(path: Path, stated: Metadata) -> OwnLabels | None:
    """Names in the file; None where it has none.

    Raises:
        Refused: they are not a list of names.
    """
    if stated.labels is None or stated.labels_name is None:
        return None
    name = stated.labels_name
    names = parse_labels(stated.labels, Path(name).suffix, f"{path.name}: {name}")
    return OwnLabels(names, f"{name} in the file")
