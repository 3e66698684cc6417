"""What a request asks for beyond the classes."""

from typing import Literal

from pydantic import BaseModel, Field


class ExtraQuery(BaseModel):
    """The parameters of POST /predict that ask for more than the classes."""

    embedding: bool = Field(False, description="Return the embedding of each image as well.")
    explain: Literal["cam"] | None = Field(
        None, description="`cam` adds the class activation map: where the image speaks for it."
    )
    class_id: int | None = Field(
        None, ge=0, description="With explain: the class that is explained; default: the first."
    )
    overlay: bool = Field(
        False, description="With explain: add a PNG of the map over what the model saw."
    )


EXTRAS = frozenset(ExtraQuery.model_fields)
