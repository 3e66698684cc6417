"""The result for one image.

Plain records, written as JSON by hand: pydantic's take ten times as long, under the GIL. OpenAPI's
schema is made from the same fields.
"""

from dataclasses import dataclass
from json.encoder import encode_basestring as quoted
from math import isfinite
from typing import Annotated

from pydantic import Field

from app.problem import Problem


@dataclass(slots=True)
class ClassScore:
    """One class with its score."""

    class_id: Annotated[
        int, Field(description="Index into the model's labels, which may be ImageNet's.")
    ]
    label: str
    probability: Annotated[float, Field(description="Softmax over all classes.")]

    def to_json(self) -> str:
        score = self.probability
        number = repr(score) if isfinite(score) else "null"
        return f'{{"class_id":{self.class_id},"label":{quoted(self.label)},"probability":{number}}}'


@dataclass(slots=True)
class ImageResult:
    """The classes of one image, or the error that prevented its classification."""

    predictions: Annotated[
        list[ClassScore],
        Field(description="In descending order of probability; empty on an error."),
    ]
    queue_ms: Annotated[
        float, Field(description="Time from arrival until a worker took the image.")
    ]
    decode_ms: Annotated[float, Field(description="Time to decode, crop and resize the image.")]
    inference_ms: Annotated[float, Field(description="Time to run the model.")]
    warnings: Annotated[
        list[str] | None,
        Field(description="Present if the file is damaged but decodes: what seems to be missing."),
    ] = None
    error: Annotated[Problem | None, Field(description="Present if this image failed.")] = None

    def to_json(self) -> str:
        text = (
            f'{{"predictions":[{",".join([each.to_json() for each in self.predictions])}],'
            f'"queue_ms":{self.queue_ms},"decode_ms":{self.decode_ms},'
            f'"inference_ms":{self.inference_ms}'
        )
        if self.warnings:
            text += f',"warnings":[{",".join(map(quoted, self.warnings))}]'
        if self.error:
            text += f',"error":{self.error.model_dump_json()}'
        return text + "}"
