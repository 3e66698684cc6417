"""From a file of any kind to a model of the store."""

from pathlib import Path

from models.importing.import_onnx import adopt
from models.importing.options import Choices
from models.importing.report import Adoption
from models.importing.source import read_source
from models.importing.weights.identify import kind_of
from models.importing.weights.import_weights import adopt_checkpoint


def adopt_file(
    path: Path,
    choices: Choices,
    name: str | None = None,
    source: str | None = None,
    licence: str | None = None,
) -> Adoption:
    """Adopt a file as a graph, or as weights where it has none.

    Raises:
        Refused: it cannot be adopted, or something has to be said that the file does not say.
    """
    kind = kind_of(path)
    origin = read_source(path, kind, choices)
    if origin is None:
        assert kind is not None  # noqa: S101  ONNX is a graph
        return adopt_checkpoint(path, kind, choices, name, source, licence)
    return adopt(path, choices, name, source, licence, origin)
