"""The folder of .onnx files: found, loaded, looked up by name."""

import logging
from collections.abc import Iterator
from pathlib import Path

from app.errors import ModelFileError, UnknownModel
from app.model import Model, load_model

log = logging.getLogger(__name__)


class Store:
    """The loaded models, by name."""

    def __init__(self, models: dict[str, Model], default: str) -> None:
        self._models = models
        self._default = default if default in models else next(iter(models))

    @property
    def default(self) -> str:
        """Name of the model that answers when a request names none."""
        return self._default

    def __iter__(self) -> Iterator[Model]:
        return iter(self._models.values())

    def __len__(self) -> int:
        return len(self._models)

    def get(self, name: str | None = None) -> Model:
        """The model of that name, or the default.

        Raises:
            UnknownModel: none has that name; the text lists those that are loaded.
        """
        try:
            return self._models[name or self._default]
        except KeyError:
            names = ", ".join(self._models)
            raise UnknownModel(f"no model is called {name!r}; loaded are: {names}") from None


def open_store(
    folder: Path,
    names: tuple[str, ...] = (),
    default: str = "",
    *,
    allow_untrained: bool = False,
) -> Store:
    """Load every model of a folder, or those named, one after another.

    Sessions are not made in parallel: onnxruntime does not promise that this is safe.

    Raises:
        ModelFileError: the folder is missing or empty, a file is broken, untrained or a second
            one of the same name, or a named model is not there.
    """
    paths = find_files(folder, names)
    models: dict[str, Model] = {}
    for path in paths:
        model = load_model(path)
        if model.name in models:
            raise ModelFileError(f"{path}: a second model called {model.name}")
        if not model.card.trained and not allow_untrained:
            raise ModelFileError(
                f"{path}: its weights are random (untrained); set GATEWAY_ALLOW_UNTRAINED=true "
                "to serve it all the same, for cost and latency studies"
            )
        models[model.name] = model
        log.info("loaded %s", model.name)
    if default and default not in models:
        log.warning("the default model %s is not loaded; %s answers", default, next(iter(models)))
    return Store(models, default)


def find_files(folder: Path, names: tuple[str, ...] = ()) -> list[Path]:
    """The .onnx files of a folder by name, hidden ones (exports in the making) left out.

    Raises:
        ModelFileError: the folder cannot be read, holds none, or lacks a named one.
    """
    if not folder.is_dir():
        raise ModelFileError(f"the store {folder} is not a folder; {_ADVICE}")
    found = {
        path.stem: path for path in sorted(folder.glob("*.onnx")) if not path.name.startswith(".")
    }
    if not found:
        raise ModelFileError(f"the store {folder} holds no .onnx file; {_ADVICE}")
    if missing := [name for name in names if name not in found]:
        raise ModelFileError(
            f"the store {folder} has no {', '.join(missing)}; it has {', '.join(found)}"
        )
    return [found[name] for name in names] if names else list(found.values())


_ADVICE = (
    "`mobilenet-gateway models pull` fetches the default model, GATEWAY_STORE names another folder"
)
