"""Optimised graphs of onnxruntime, stored next to the models for a faster restart.

An optimised graph is valid only for its runtime, CPU and model file. Its name depends on all three,
so a stale graph is never found, and the next write removes it. Opening an optimised graph takes
about half as long as optimising again.
"""

import glob
import hashlib
import json
import logging
from math import prod
from pathlib import Path
from random import Random
from typing import Any

import numpy as np

from app.card.card import CARD_KEY, INPUT, ModelCard
from app.card.card_file import read_card_file
from app.errors import ModelFileError, first_line
from app.model import runtime
from app.model.files import FileStamp, file_stem
from app.model.graph.int8_activations import Int8Input, with_int8_activations
from app.model.graph.paired_stem import with_paired_stem
from app.model.providers import CPU_ONLY
from app.settings import Provider
from app.system import signals
from app.system.cpu import cpu_identity, is_arm64_here, prefers_int8_here, saturates_here

FOLDER = ".cache"
FORM = 2  # raised whenever `form_here` makes another form of the same file
log = logging.getLogger(__name__)


class GraphCache:
    """Optimised graphs of the models in one store."""

    def __init__(self, store: Path) -> None:
        self._folder = store / FOLDER

    def open_session(self, model: Path, *, memory_arena: bool, threads: int = 1) -> Any:
        """Open the cached graph; without a usable one, optimise the model and store the result."""
        for mapped in (False, True):
            cached = self._file(model, mapped)
            if cached.is_file():
                try:
                    session = runtime.optimised_session(
                        cached, memory_arena=memory_arena, threads=threads, mapped=mapped
                    )
                    return Int8Input.around(session)
                except Exception as error:  # onnxruntime's errors have no common class
                    log.warning("Cannot use %s; optimising the model again: %s", cached, error)
        try:
            return self._optimise(model, memory_arena, threads)
        except Exception as error:  # the folder is not writable, or the model not readable
            log.info("Cannot store the optimised graph of %s: %s", model.name, error)
        return new_session_here(model, memory_arena=memory_arena, threads=threads)

    def _optimise(self, model: Path, memory_arena: bool, threads: int) -> Any:
        """Open a model and store its optimised graph."""
        self._folder.mkdir(exist_ok=True)
        with signals.workspace(self._folder) as workspace:
            optimised = Path(workspace) / "graph.ort"
            session = new_session_here(
                model, memory_arena=memory_arena, threads=threads, save_to=optimised
            )
            mapped = _can_be_mapped(session)
            cached = self._file(model, mapped)
            remove_stale(cached)
            optimised.replace(cached)
        if mapped:
            session = None  # before the next one needs memory
            return runtime.optimised_session(
                cached, memory_arena=memory_arena, threads=threads, mapped=True
            )
        return session

    def _file(self, model: Path, mapped: bool) -> Path:
        """Where an optimised graph is; one that is mapped has another name than one that is not."""
        return self._folder / cache_name(model, "ort", "mapped" if mapped else "copied")


def open_session(
    model: Path,
    graphs: GraphCache | None,
    providers: tuple[Provider, ...],
    *,
    memory_arena: bool,
    threads: int = 1,
) -> Any:
    """Open a session over a model file; on the CPU, from its optimised graph if there are any.

    Raises:
        ModelFileError: onnxruntime cannot load it.
    """
    try:
        if providers == CPU_ONLY:  # other providers compile graphs that cannot be saved
            if graphs:
                return graphs.open_session(model, memory_arena=memory_arena, threads=threads)
            return new_session_here(model, memory_arena=memory_arena, threads=threads)
        return runtime.new_session(
            model, memory_arena=memory_arena, threads=threads, providers=providers
        )
    except ModelFileError:
        raise
    except Exception as error:  # onnxruntime's errors have no common class
        raise ModelFileError(
            f"not a model that onnxruntime can load: {first_line(error)}"
        ) from error


def _can_be_mapped(session: Any) -> bool:
    text = session.get_modelmeta().custom_metadata_map.get(CARD_KEY, "{}")
    card = json.loads(text)
    return runtime.can_be_mapped(card.get("precision"), card.get("family"))


def new_session_here(
    model: Path, *, memory_arena: bool, threads: int, save_to: Path | None = None
) -> Any:
    """A session on the CPU, on ARM over the form of an INT8 model that takes fewest instructions.

    A form that does not give exactly the answers of the file is not used.
    """
    if is_arm64_here():
        try:
            if session := _session_of_form(model, memory_arena, threads, save_to):
                return session
        except Exception as error:  # onnxruntime's errors have no common class
            log.warning("%s: its form for this CPU cannot be used: %s", model.name, error)
    return runtime.new_session(model, memory_arena=memory_arena, threads=threads, save_to=save_to)


def form_here(model: bytes, card: ModelCard) -> bytes | None:
    """The form of an INT8 model for this ARM CPU; None if that is the file's own."""
    if card.precision != "int8":
        return None
    paired = with_paired_stem(model, card.resolutions)
    signed = with_int8_activations(paired or model) if prefers_int8_here() else None
    return signed or paired


def _session_of_form(model: Path, memory_arena: bool, threads: int, save_to: Path | None) -> Any:
    card = read_card_file(model).card
    if not (changed := form_here(model.read_bytes(), card)):
        return None
    session = Int8Input.around(
        runtime.new_session(changed, memory_arena=memory_arena, threads=threads, save_to=save_to)
    )
    shape = (1, card.resolution, card.resolution, 3)  # a grey model's graph takes RGB, too
    values = Random(0).randbytes(prod(shape))  # noqa: S311  no secret
    noise = np.frombuffer(values, np.uint8).reshape(shape)
    found, wanted = (
        one.run(None, {INPUT: noise})
        for one in (session, runtime.new_session(model, memory_arena=False))
    )
    if all(map(np.array_equal, found, wanted)):
        return session
    log.warning("%s: its form for this CPU gives other answers", model.name)
    return None


def cache_name(model: Path, suffix: str, *more: str) -> str:
    """The name of a file with results for the content of a model file, the runtime and the CPU.

    `more` is what else they depend on.

    Raises:
        OSError: the model file cannot be read.
    """
    stamp = FileStamp.of(model)
    file = (stamp.inode, stamp.modified_ns, stamp.size_bytes)  # not permissions
    machine = (saturates_here(), prefers_int8_here(), cpu_identity(), FORM)
    parts = (*file, runtime.version(), *machine, *more)
    key = hashlib.sha256(repr(parts).encode()).hexdigest()[:16]
    return f"{file_stem(model)}.{key}.{suffix}"


def remove_stale(current: Path) -> None:
    """Remove results for other contents of the same model.

    The pattern is exact, as the names of other models may start with the name of this one.
    """
    stem, key, suffix = current.name.rsplit(".", 2)
    for stale in current.parent.glob(f"{glob.escape(stem)}.{'[0-9a-f]' * len(key)}.{suffix}"):
        stale.unlink(missing_ok=True)
