"""The JSON of POST /predict: the body of a request, and the answer."""

from pydantic import BaseModel, ConfigDict, Field

from app.auto.choice import ChoiceNote
from app.inference.results import ImageResult
from app.request import examples
from app.wire import Wire, with_example


class PredictBody(BaseModel):
    """A request in JSON: images in base64, plain or as data: URLs."""

    model_config = ConfigDict(extra="forbid")

    images: list[str] = Field(min_length=1)


class Answer(Wire):
    """The answer to POST /predict; `results` has the order of the images."""

    model_config = with_example(examples.ANSWER)

    model: str
    resolution: int
    results: list[ImageResult]
    choice: ChoiceNote | None = Field(None, description="Present with model=auto.")
