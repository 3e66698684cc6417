"""What a training is told, as JSON: the examples, their embeddings' folder, and the base models."""

from pathlib import Path

from pydantic import BaseModel

from app.card.card import ModelCard

CANNOT_TEACH, DISK_FAILS = 3, 4  # statuses of the process


class TrainingRecord(BaseModel, frozen=True, extra="forbid"):
    """A frozen part of the job."""


class TrainingForm(TrainingRecord):
    """A form of the base: its card, the hash of its file, and the views that it embeds."""

    card: ModelCard
    sha256: str
    views: int


class TrainingJob(TrainingRecord):
    """What the child process reads from its standard input.

    examples  id and label of each
    skipped   id and reason of examples that have no embedding
    """

    name: str
    folder: Path
    target: Path
    forms: tuple[TrainingForm, ...]
    examples: tuple[tuple[str, str], ...]
    skipped: tuple[tuple[str, str], ...]


class TrainingFailure(TrainingRecord):
    """What the child process says if the examples cannot be taught, or the head not be written."""

    reason: str
    errno: int = 0
