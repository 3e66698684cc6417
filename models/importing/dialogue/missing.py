"""What a file leaves open and only its owner knows: all of it is asked for in one message."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import NamedTuple, TypeVar

from models.importing.checks import Refused
from models.importing.dialogue.trials import Trial

T = TypeVar("T")
STAND_IN_SIDE = 224


class Answer(NamedTuple):
    """Arguments of the command line, and what they mean."""

    arguments: str
    meaning: str


@dataclass(frozen=True, slots=True)
class Question:
    """One thing that is missing: the options that state it, why, and the usual answers.

    The first answer goes into the ready command line.
    """

    option: str
    why: str
    choices: tuple[Answer, ...]

    @property
    def text(self) -> str:
        """The question over its answers, a line each."""
        width = max(len(one.arguments) for one in self.choices)
        rows = [f"    {one.arguments:{width}}  {one.meaning}".rstrip() for one in self.choices]
        return "\n".join([f"  {self.option}: {self.why}", *rows])


def resolution_question(why: str) -> Question:
    answers = (Answer("--resolution 224", "or the side of its images in the training"),)
    return Question("--resolution", why, answers)


class Missing(Refused):
    """Answers are missing; nothing else is known to be in the way."""

    def __init__(self, questions: tuple[Question, ...], trials: tuple[Trial, ...] = ()) -> None:
        count = "1 answer is" if len(questions) == 1 else f"{len(questions)} answers are"
        parts = [f"{count} missing that only you know:", *(one.text for one in questions)]
        super().__init__("\n".join(parts))
        self.questions = questions
        self.trials = trials


@dataclass(slots=True)
class Questions:
    """Collects questions while the import goes on with stand-ins for the answers.

    `tentative` is set once a stand-in may be why the rest fails. `trials` were made on photos.
    """

    asked: list[Question] = field(default_factory=list)
    tentative: bool = False
    trials: tuple[Trial, ...] = ()

    def ask(self, question: Question, stand_in: T, *, tentative: bool = False) -> T:
        """Note a question, once, and go on with a stand-in for the answer."""
        if not self.include(question.option):
            self.asked.append(question)
        self.tentative |= tentative
        return stand_in

    def include(self, *options: str) -> bool:
        """Whether one of these options was asked for."""
        return any(question.option in options for question in self.asked)

    @contextmanager
    def in_one_message(self) -> Iterator[None]:
        """Raise what was asked inside, once all of it is known.

        Raises:
            Missing: something was asked.
            Refused: the file cannot be adopted whatever the answers are.
        """
        try:
            yield
        except Refused:
            if not self.tentative:
                raise
        if self.asked:
            raise Missing(tuple(self.asked), self.trials)
