"""A model of the store, loaded for a command that runs without a service."""

from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from app.errors import ModelFileError, SettingError
from app.heads.head_file import SUFFIX as HEAD_SUFFIX
from app.heads.head_file import read_head
from app.model.files import file_stem, find_files
from app.model.model import load_model
from app.model.store import Store
from app.model.store_folder import AUTO, Selection, StoreFolder
from app.settings import Settings
from app.system.cpu import int8_obstacle


def local_store(settings: Settings, name: str | None) -> Store:
    """A store of that model only; without a name, of both forms of the default model.

    Raises:
        ModelFileError: it is not in the store or cannot be served.
        SettingError: the default is the automatic choice.
    """
    wanted = name or settings.default_model
    if wanted == AUTO:
        raise SettingError("`auto` needs the load of a service; name a model with --model.")
    selection = Selection(
        settings.store,
        (wanted,),
        default=wanted or None,
        allow_untrained=settings.allow_untrained,
        int8_obstacle=int8_obstacle(),
    )
    if base := _base_of(settings.store / f"{wanted}{HEAD_SUFFIX}"):
        selection = replace(selection, names=(base, wanted))
    elif name is None:
        files = find_files(settings.store, settings.models)
        stems = [file_stem(path) for path in files]
        if not wanted:  # both forms, of which the store loads the one that is needed
            forms = StoreFolder(selection, load_model).default_files(files)
            selection = replace(selection, names=tuple(path.stem for path in forms if path))
        elif wanted not in stems:
            selection = replace(selection, names=(stems[0],))
    return Store(selection, load_model)


def _base_of(head: Path) -> str | None:
    """The name of a head's base; None for what is no head, of which the store says more."""
    with suppress(OSError, ModelFileError):
        return read_head(head)[0].base_name
    return None
