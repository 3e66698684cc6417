"""The scaling in front of a network: stated, tried on photos, or asked for."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from app.arrays import Float32Array, Uint8Array
from models.export.graph import InputScaling
from models.importing.checks import Refused
from models.importing.dialogue.missing import Answer, Question
from models.importing.dialogue.options import Choices
from models.importing.dialogue.presets import PRESETS
from models.importing.dialogue.trials import (
    CENTRED,
    PIXELS,
    USUAL,
    LabelledImages,
    Trial,
    Way,
    not_worse,
    scaling_arguments,
    text_of,
    try_ways,
    ways,
)

# Without these answers the photos tell nothing.
BEFORE_PHOTOS = ("--labels", "--background", "--resolution")


@dataclass(frozen=True, slots=True)
class Input:
    """What a network takes.

    `own` is what a network has to be fed that scales pixels itself. `why` tells what is wrong with
    the scale of a quantised input.
    """

    uint8: bool
    own: InputScaling | None = None
    why: str | None = None
    grey: bool = False


@dataclass(frozen=True, slots=True)
class Feeding:
    """How pixels go in, and who says so; `scaling` is None where they go in as they are."""

    scaling: InputScaling | None
    bgr: bool
    scaling_by: str
    order_by: str
    trials: tuple[Trial, ...] = ()


def choose_feeding(
    choices: Choices,
    taken: Input,
    stated: InputScaling | None,
    photos: Callable[[], LabelledImages],
    network: Callable[[Way], Callable[[Uint8Array], Float32Array]],
) -> Feeding:
    """Scaling and order of channels: as stated, as the photos show, or else asked for.

    `stated` is the scaling that is known, `photos` reads the labelled photos, and `network` gives
    the scores of an image.

    Raises:
        Refused: a single channel cannot be reversed, or the photos cannot be read.
    """
    if taken.grey and choices.bgr:
        raise Refused("The input has one channel, so it has no order. Remove --bgr.")
    by = choices.by("mean", "std") if stated else "the graph"
    feeding = Feeding(
        stated,
        bool(choices.bgr),
        by if taken.own is None else "the graph scales by itself",
        "usual" if choices.bgr is None else f"--{'bgr' if choices.bgr else 'rgb'}",
    )
    known = taken.uint8 or stated is not None
    stand_in = feeding if known else replace(feeding, scaling=CENTRED)
    if choices.photos is None:
        return feeding if known else choices.questions.ask(_ask_scaling(choices, taken), stand_in)
    if choices.questions.tentative or choices.questions.include(*BEFORE_PHOTOS):
        return stand_in
    scalings = [(_stated_name(taken), stated)] if known else list(USUAL.items())
    orders = (False, True) if choices.bgr is None and not taken.grey else (bool(choices.bgr),)
    labelled = photos()
    trials = try_ways(ways(scalings, orders), labelled, network, choices.progress)
    choices.questions.trials = tuple(trials)
    return _by_photos(choices, feeding, trials, labelled, known)


def _by_photos(
    choices: Choices, stated: Feeding, trials: list[Trial], photos: LabelledImages, known: bool
) -> Feeding:
    """The best way, if it is clearly the best one and better than no network at all."""
    best = trials[0].way
    by = f"best on {len(photos.images)} photos"
    feeding = Feeding(
        best.scaling,
        best.bgr,
        stated.scaling_by if known else by,
        stated.order_by if choices.bgr is not None else by,
        tuple(trials),
    )
    rivals = not_worse(trials)
    why = "several are about equally good on the photos; more photos may show the right one."
    if trials[0].accuracy <= photos.most_frequent:
        rivals, why = trials, _no_better(photos)
    if len(rivals) == 1:
        return feeding
    option = "--rgb, --bgr" if known else "--mean, --std"
    answers = tuple(Answer(one.way.arguments, text_of(one)) for one in rivals)
    return choices.questions.ask(Question(option, why, answers), feeding)


def _no_better(photos: LabelledImages) -> str:
    if photos.most_frequent == 100:
        return "all photos are of one class, which a network may answer to anything."
    return (
        "none is more accurate on the photos than the most frequent class as the answer to all "
        f"({photos.most_frequent:.1f} %). Are the labels in the order of the classes?"
    )


def _stated_name(taken: Input) -> str:
    return "as the file scales" if taken.uint8 or taken.own else "as stated"


def stated_scaling(choices: Choices, taken: Input) -> InputScaling | None:
    """The scaling if the file or the command line states it, else None.

    Raises:
        Refused: it is said twice, or out of range.
    """
    given = {"mean": choices.mean, "std": choices.std}
    named = [f"--{name}" for name, value in given.items() if value is not None]
    if taken.uint8:
        if named:
            raise Refused(
                f"The model reads uint8 pixels and scales them itself. Remove {named[0]}."
            )
        return None
    if choices.as_stored:
        raise Refused("The input is no quantised one. Remove --as-stored.")
    if taken.own is not None:
        if named:
            raise Refused(
                "The model scales pixels itself, in front of its first layer. "
                f"Remove {named[0]}, with which they would be scaled twice."
            )
        return taken.own
    said = {name: _channels(name, value) for name, value in given.items() if value is not None}
    usual = choices.preset.scaling if choices.preset else None
    if usual is None and len(said) < 2:
        return None
    scaling = replace(usual, **said) if usual else InputScaling(**said)
    if not all(0 <= value <= 1 for value in scaling.mean):
        raise Refused(f"--mean is {list(scaling.mean)}; it must be from 0 to 1, for pixel / 255.")
    if not all(0 < value <= 1 for value in scaling.std):
        raise Refused(
            f"--std is {list(scaling.std)}; it must be above 0 and at most 1, for pixel / 255."
        )
    return scaling


def _ask_scaling(choices: Choices, taken: Input) -> Question:
    answers = [
        Answer("--mean 0.5 --std 0.5", "trained on pixels of -1 ... 1"),
        Answer("--mean 0 --std 1", "trained on pixel / 255"),
    ]
    if taken.why is None:  # TensorFlow's converter multiplies such a factor into the first kernels
        raw = "trained on pixels of 0 ... 255, or rescaled in the model by a factor alone"
        answers.append(Answer(scaling_arguments(PIXELS), raw))
    if choices.preset is not None and choices.preset.often not in (None, CENTRED):
        arguments = scaling_arguments(choices.preset.often)
        answers.insert(0, Answer(arguments, "ImageNet's mean and deviation, as in torchvision"))
    if taken.why is not None:
        answers.append(Answer("--as-stored", "trained on pixels from 0 to 255, stored unchanged"))
    answers.append(Answer("--photos FOLDER", "labelled photos: the usual scalings are tried"))
    answers.append(Answer("--like NAME", f"as in {PRESETS}"))
    reason = taken.why or "the file does not state the scaling of its float input."
    return Question("--mean, --std", reason, tuple(answers))


def _channels(name: str, values: Sequence[float]) -> tuple[float, float, float]:
    if len(values) == 1:
        return values[0], values[0], values[0]
    if len(values) != 3:
        raise Refused(f"--{name} must be one number, or three for red, green and blue.")
    return values[0], values[1], values[2]
