"""An example: one image with its label, as its small file describes it."""

import json
from dataclasses import asdict, dataclass
from typing import Any, Self


@dataclass(frozen=True, slots=True)
class Example:
    """A labelled image without its bytes.

    id       sorts by the time at which the image was added
    created  that time in UTC, as in ISO 8601
    sha256   of the image's bytes
    """

    id: str
    label: str
    created: str
    content_type: str
    sha256: str

    def to_json(self) -> bytes:
        return json.dumps(asdict(self), ensure_ascii=False).encode()

    @classmethod
    def from_json(cls, data: bytes) -> Self:
        """Read what `to_json` wrote.

        Raises:
            ValueError: the text is something else.
        """
        fields: Any = json.loads(data)
        try:
            found = cls(**fields)
        except TypeError as error:
            raise ValueError(str(error)) from error
        if not all(isinstance(value, str) for value in fields.values()):
            raise ValueError("a field is not text")
        return found
