"""The result for one image."""

from pydantic import Field

from app.problem import Problem
from app.wire import Wire


class ClassScore(Wire):
    """One class with its score."""

    class_id: int = Field(description="Index into the model's labels, which may be ImageNet's.")
    label: str
    probability: float = Field(description="Softmax over all classes.")


class ImageResult(Wire):
    """The classes of one image, or the error that prevented its classification."""

    predictions: list[ClassScore] = Field(
        description="In descending order of probability; empty on an error."
    )
    queue_ms: float = Field(description="Time from arrival until a worker took the image.")
    decode_ms: float = Field(description="Time to decode, crop and resize the image.")
    inference_ms: float = Field(description="Time to run the model.")
    warnings: list[str] | None = Field(
        None, description="Present if the file is damaged but decodes: what seems to be missing."
    )
    error: Problem | None = Field(None, description="Present if this image failed.")
