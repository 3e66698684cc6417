"""The names of a network's classes: from a file, of ImageNet, or asked for."""

from dataclasses import dataclass
from pathlib import Path
from shlex import quote

from models.importing.checks import Refused
from models.importing.dialogue.missing import Answer, Question
from models.importing.dialogue.options import Choices
from models.importing.labels import read_labels
from models.zoo.imagenet import imagenet_labels

IMAGENET = "imagenet"
BACKGROUND_NAMES = {"background", "dummy", "__background__"}
LABEL_FILES = ("labels.txt", "class_indices.json", "labels.json", "classes.txt", "labels.csv")


@dataclass(frozen=True, slots=True)
class Classes:
    """Names of the classes that are served; `background` is True if class 0 is left out."""

    labels: tuple[str, ...]
    background: bool
    said_by: str


def choose_classes(choices: Choices, classes: int, path: Path) -> Classes:
    """Names for the `classes` scores of the network in the file `path`.

    Raises:
        Refused: they are not as many.
    """
    preset = choices.preset
    background = choices.background
    if background is None:
        background = preset is not None and preset.background and classes == 1001
    wanted = classes - background
    imagenet = choices.like or (preset is not None and preset.published)
    own = choices.own_labels if choices.labels is None else None
    source = choices.labels or (own.said_by if own else IMAGENET if imagenet else None)
    numbered = Classes(tuple(map(str, range(wanted))), background, "")  # for the time being
    if source is None:
        why = f"the file does not name {_count(choices, classes)}."
        return choices.questions.ask(_ask_labels(why, classes, path), numbered)
    if own is not None:
        labels = own.names
    else:
        labels = imagenet_labels() if source == IMAGENET else read_labels(Path(source))
    if len(labels) == wanted + 1 and labels[0].lower() in BACKGROUND_NAMES:
        labels = labels[1:]
    if len(labels) == wanted:
        return Classes(labels, background, own.said_by if own else choices.by("labels"))
    why = (
        f"the model has {wanted} classes{' and a background' if background else ''}, "
        f"{source} has {len(labels)} names."
    )
    if choices.questions.tentative:  # by another output, there may be as many
        return numbered
    if len(labels) == wanted - 1 and not background:
        answers = (
            Answer("--background", "if class 0 is a background class, to be left out"),
            Answer("--labels FILE", "if a name is missing"),
        )
        return choices.questions.ask(Question("--background", why, answers), numbered)
    if choices.labels is None:
        return choices.questions.ask(_ask_labels(why, classes, path), numbered)
    raise Refused(f"{why[0].upper()}{why[1:]}")


def _count(choices: Choices, classes: int) -> str:
    return "its classes" if choices.questions.tentative else f"its {classes} classes"


def _ask_labels(why: str, classes: int, path: Path) -> Question:
    beside = [file for name in LABEL_FILES if (file := path.with_name(name)).is_file()]
    answers = [Answer(f"--labels {quote(str(file))}", "this file beside it") for file in beside]
    if not beside:
        meaning = "a file with one name per line, a CSV, or JSON such as class_indices.json"
        answers = [Answer("--labels labels.txt", meaning)]
    if classes in (1000, 1001):
        imagenet = Answer(f"--labels {IMAGENET}", "the names of ImageNet's classes")
        answers.insert(len(beside), imagenet)  # before a file that is still to be written
    return Question("--labels", why, tuple(answers))
