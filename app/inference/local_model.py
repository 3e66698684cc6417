"""A model of the store, loaded as a service loads it, for what runs without a service."""

from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import NamedTuple

from app.errors import ModelFileError, SettingError
from app.heads.head_file import SUFFIX as HEAD_SUFFIX
from app.heads.head_file import read_head
from app.model import runtime
from app.model.files import file_stem, find_files
from app.model.graph_cache import GraphCache
from app.model.head_model import BaseFiles, load_head_model
from app.model.model import Model, load_model
from app.model.providers import choose
from app.model.store import Store
from app.model.store_folder import AUTO, Selection, StoreFolder
from app.settings import Settings
from app.system.cpu import int8_obstacle


class LocalModel(NamedTuple):
    """A loaded model and its file."""

    model: Model
    path: Path


def local_model(settings: Settings, name: str | None) -> LocalModel:
    """The model of that name, or the default: of the store, or a head of the folder `heads`.

    Raises:
        ModelFileError, SettingError: as `local_store`.
    """
    taught = settings.heads / f"{name}{HEAD_SUFFIX}" if settings.heads and name else None
    if taught and taught.is_file() and not (settings.store / taught.name).exists():
        store = local_store(settings, _base_of(taught))
        bases = {model.name: (model, store.path(model.name)) for model in store}
        return LocalModel(load_head_model(taught, bases, BaseFiles()), taught)
    store = local_store(settings, name)
    model = store.get()
    return LocalModel(model, store.path(model.name))


def local_store(settings: Settings, name: str | None) -> Store:
    """A store of that model only; without a name, of both forms of the default model.

    Raises:
        ModelFileError: it is not in the store or cannot be served.
        SettingError: the default is the automatic choice.
    """
    wanted = name or settings.default_model
    if wanted == AUTO:
        raise SettingError("`auto` needs the load of a service; name a model with --model.")
    providers = choose(settings.providers, runtime.built_in_providers())
    load = partial(
        load_model,
        memory_arena=settings.memory_arena,
        graphs=GraphCache(settings.store) if settings.cache else None,
        providers=providers,
    )
    selection = Selection(
        settings.store,
        (wanted,),
        default=wanted or None,
        allow_untrained=settings.allow_untrained,
        int8_obstacle=providers.int8_obstacle() or int8_obstacle(),
    )
    if base := _base_of(settings.store / f"{wanted}{HEAD_SUFFIX}"):
        selection = replace(selection, names=(base, wanted))
    elif name is None:
        files = find_files(settings.store, settings.models)
        stems = [file_stem(path) for path in files]
        if not wanted:  # both forms, of which the store loads the one that is needed
            forms = StoreFolder(selection, load).default_files(files)
            selection = replace(selection, names=tuple(file_stem(path) for path in forms if path))
        elif wanted not in stems:
            selection = replace(selection, names=(stems[0],))
    return Store(selection, load)


def _base_of(head: Path) -> str | None:
    """The name of a head's base; None for what is no head, of which the store says more."""
    with suppress(OSError, ModelFileError):
        return read_head(head)[0].base_name
    return None
