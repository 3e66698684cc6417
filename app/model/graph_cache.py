"""Graphs that onnxruntime has already optimised, kept beside the store for the next start.

An optimised graph is only good for the runtime, the CPU and the file that it was made of; all of
them are in its name, so a stale one is never found, and it goes when a new one is written. Opening
one takes about half as long as optimising again.
"""

import glob
import hashlib
import logging
from pathlib import Path
from typing import Any

from app.model import runtime
from app.model.files import FileStamp
from app.system import signals
from app.system.cpu import kind_of_cpu, saturates_here

FOLDER = ".cache"
log = logging.getLogger(__name__)


class GraphCache:
    """Optimised graphs of the models in one store."""

    def __init__(self, store: Path) -> None:
        self._folder = store / FOLDER

    def open_session(self, model: Path, *, memory_arena: bool) -> Any:
        """A session of the cached graph; if there is none that can be used, one is made."""
        cached = self._folder / kept_name(model, "ort")
        if cached.is_file():
            try:
                return runtime.optimised_session(cached, memory_arena=memory_arena)
            except Exception as error:  # onnxruntime's errors have no common class
                log.warning("Cannot use %s, making it again: %s", cached, error)
        return self._make(model, cached, memory_arena)

    def _make(self, model: Path, cached: Path, memory_arena: bool) -> Any:
        """Optimise, and keep the result if the folder can be written."""
        try:
            return self._make_and_keep(model, cached, memory_arena)
        except Exception as error:  # the folder cannot be written, or the model not be read
            log.info("no optimised graph of %s is kept: %s", model.name, error)
        return runtime.new_session(model, memory_arena=memory_arena)

    def _make_and_keep(self, model: Path, cached: Path, memory_arena: bool) -> Any:
        self._folder.mkdir(exist_ok=True)
        with signals.workspace(self._folder) as workspace:
            made = Path(workspace) / "graph.ort"
            session = runtime.new_session(model, memory_arena=memory_arena, save_to=made)
            drop_others(cached)
            made.replace(cached)
        return session


def kept_name(model: Path, suffix: str) -> str:
    """Names what was found out about the content of a model file.

    Raises:
        OSError: the file is gone.
    """
    return f"{model.stem}.{content_key(model)}.{suffix}"


def drop_others(kept: Path) -> None:
    """Remove what is like `kept` but for the content: other models' names may begin like this."""
    stem, key, suffix = kept.name.rsplit(".", 2)
    for stale in kept.parent.glob(f"{glob.escape(stem)}.{'[0-9a-f]' * len(key)}.{suffix}"):
        stale.unlink(missing_ok=True)


def content_key(model: Path) -> str:
    """Names the file's content by its stamp, the runtime and the CPU."""
    found = FileStamp.of(model)
    file = (found.inode, found.modified_ns, found.size_bytes)  # permissions are no content
    parts = (*file, runtime.version(), saturates_here(), kind_of_cpu())
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:16]
