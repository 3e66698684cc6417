"""How the networks of a project, or of a format, are fed: by name, by habit, or by a known file."""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from app.card.card import Preprocessing, SourceFile
from models.export.graph import InputScaling
from models.zoo.zoo import formats, zoo

PRESET_FORMATS = {  # names of --like: formats of the zoo
    "torchvision": "torchvision",
    "torchvision_v2": "torchvision_v2",
    "keras": "keras",
    "tflite": "tflite_float",
    "timm": "timm_v2",
    "timm_v1": "timm_v1",
}
PRESETS = ", ".join(PRESET_FORMATS)

# The whole image, squashed: `image_dataset_from_directory` and `ImageDataGenerator` of Keras, and
# the example programs of TFLite.
SQUASHED = Preprocessing(resize="central_crop", crop_fraction=1, interpolation="bilinear")


@dataclass(frozen=True, slots=True)
class Preset:
    """How networks of one kind were trained.

    `said_by` is who says so, `scaling` None where the networks differ in it; `background` is True
    where class 0 of 1001 is "nothing". `published` tells that it is a known file with the classes
    of ImageNet. `often` is a scaling to name first where it has to be asked for. `scaling_by` is
    who says the scaling, if somebody else does.
    """

    said_by: str
    scaling: InputScaling | None
    preprocessing: Preprocessing
    background: bool
    published: bool = False
    often: InputScaling | None = None
    scaling_by: str | None = None


def preset_of(record: str, said_by: str) -> Preset:
    """What the checkpoints of a format of the zoo have in common."""
    kind = formats()[record]
    return Preset(said_by, kind.scaling, kind.preprocessing, kind.background)


def published(files: Iterable[SourceFile]) -> Preset | None:
    """What is known of a file that its publisher gives to everybody; None for any other file."""
    hashes = {file.sha256 for file in files}
    for entry in zoo().values():
        pinned = {file.sha256 for file in entry.files.values() if file.sha256}
        if pinned & hashes:
            kind = entry.format
            said_by = f"published as {entry.name}"
            return Preset(said_by, kind.scaling, kind.preprocessing, kind.background, True)
    return None


def usual(record: str, said_by: str) -> Preset:
    """How networks of a format are fed that their owners trained, whose scaling is their own."""
    preset = preset_of(record, said_by)
    if record.startswith(("keras", "tflite")):
        return replace(preset, scaling=None, preprocessing=SQUASHED)
    return replace(preset, scaling=None, often=preset.scaling)
