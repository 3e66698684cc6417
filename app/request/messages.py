"""The JSON of POST /predict: the body of a request, and the answer."""

from typing import Literal

from pydantic import BaseModel, Field

from app.auto.choice import ChoiceNote
from app.explain.explained import ExplainedResult
from app.inference.head_results import EmbeddedResult, HeadsResult
from app.inference.results import ImageResult
from app.request import examples
from app.wire import Wire, with_example


class PredictBody(BaseModel, extra="forbid"):
    """A request in JSON: images in base64, plain or as data: URLs."""

    images: list[str] = Field(min_length=1)


class Instance(BaseModel, extra="forbid"):
    """One image in TensorFlow Serving's form."""

    b64: str


class InstancesBody(BaseModel, extra="forbid"):
    """A request in TensorFlow Serving's row format, with images in base64."""

    signature_name: Literal["serving_default"] = "serving_default"
    instances: list[Instance] = Field(min_length=1)


class Answer(Wire, json_schema_extra=with_example(examples.ANSWER)):
    """The answer to POST /predict; `results` has the order of the images."""

    model: str
    resolution: int
    results: list[ImageResult | EmbeddedResult | HeadsResult | ExplainedResult]
    choice: ChoiceNote | None = Field(None, description="Present with model=auto.")
