"""From a file of any kind to a model of the store."""

from dataclasses import replace
from pathlib import Path

from models.importing.dialogue.options import Choices
from models.importing.files.teachable import unpacked
from models.importing.import_onnx import adopt
from models.importing.report import Adoption, chosen_name
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
    with unpacked(path) as export:
        if export is not None:
            name = name or chosen_name(None, path, choices.questions)
            source = source or f"the file {path.name}"
            path = export.model
            choices = replace(choices, file=export.preset, own_labels=export.labels)
        kind = kind_of(path)
        origin = read_source(path, kind, choices)
        if origin is None:
            assert kind is not None  # noqa: S101  ONNX is a graph
            return adopt_checkpoint(path, kind, choices, name, source, licence)
        return adopt(path, choices, name, source, licence, origin)
