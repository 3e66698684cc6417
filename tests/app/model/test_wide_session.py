"""The second session of the default model: when it exists, and that it answers like the first."""

import os
import shutil
import weakref
from pathlib import Path

import numpy as np
import pytest

from app.card.card import EMBEDDING, PROBABILITIES
from app.model.graph_cache import GraphCache, open_session
from app.model.model import load_model
from app.model.providers import CPU_ONLY
from app.model.reloadable_store import ReloadableStore
from app.model.store_folder import Selection
from app.model.wide_session import MIN_AVAILABLE_BYTES, WideSession
from tests.app.heads.made import write_head
from tests.conftest import SMALL_V1, SMALL_V2

THREADS = 4  # more than the cores of the machines that run the tests
PLENTY = 2**40


@pytest.fixture
def folder(store: Path, tmp_path: Path) -> Path:
    """A store of one's own."""
    for name in (SMALL_V1, SMALL_V2):
        shutil.copy(store / f"{name}.onnx", tmp_path)
    return tmp_path


@pytest.fixture
def models(folder: Path) -> ReloadableStore:
    graphs = GraphCache(folder)
    return ReloadableStore(
        Selection(folder, default=SMALL_V1), lambda path: load_model(path, graphs=graphs)
    )


def wide_session(
    models: ReloadableStore, threads: int = THREADS, available: int | None = PLENTY
) -> WideSession:
    """The second session of a store; `available` bytes are left on the machine."""
    graphs = GraphCache(models.path(SMALL_V1).parent)
    return WideSession(
        models,
        threads,
        lambda path: open_session(path, graphs, CPU_ONLY, memory_arena=True, threads=threads),
        lambda: available,
    )


def opened(models: ReloadableStore, available: int | None = PLENTY) -> WideSession:
    """As `wide_session`, after the default model was used."""
    wide = wide_session(models, available=available)
    models.get().used = True
    wide.update()
    return wide


def pixels_of(seed: int, side: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (1, side, side, 3), np.uint8)


def threads_of_this_process() -> int:
    return len(list(Path("/proc/self/task").iterdir()))


@pytest.mark.parametrize("name", [SMALL_V1, SMALL_V2])
def test_four_threads_answer_like_one(folder: Path, name: str) -> None:
    graphs = GraphCache(folder)
    models = ReloadableStore(
        Selection(folder, default=name), lambda path: load_model(path, graphs=graphs)
    )
    before = threads_of_this_process()
    wide = opened(models)
    model = models.get()
    assert wide.threads == THREADS
    assert threads_of_this_process() == before + THREADS - 1
    for seed in range(10):
        for side in (model.card.resolution, 160):
            pixels = pixels_of(seed, side)
            for output in (PROBABILITIES, EMBEDDING):
                np.testing.assert_allclose(
                    model.run([output], pixels, wide=True),
                    model.run([output], pixels),
                    rtol=0,
                    atol=1e-6,
                )


def test_it_is_what_a_lone_image_runs_on(models: ReloadableStore) -> None:
    opened(models)
    model = models.get()
    pixels = pixels_of(0, 128)
    alike = model.probabilities(pixels)
    model.wide = load_model(models.path(SMALL_V2)).session  # another network: the answers tell
    assert not np.allclose(model.run([PROBABILITIES], pixels, wide=True), alike)
    np.testing.assert_array_equal(model.run([PROBABILITIES], pixels), alike)


def test_it_waits_for_the_first_use_of_the_default_model(models: ReloadableStore) -> None:
    wide = wide_session(models)
    models.get(SMALL_V2).used = True
    assert not wide.outdated()
    wide.update()
    assert (wide.threads, models.get(SMALL_V2).wide) == (1, None)
    models.get().used = True
    assert wide.outdated()
    wide.update()
    assert not wide.outdated()
    assert (wide.threads, models.get(SMALL_V2).wide) == (THREADS, None)


def test_one_thread_switches_it_off(models: ReloadableStore) -> None:
    wide = wide_session(models, threads=1)
    models.get().used = True
    assert not wide.outdated()
    assert wide.threads == 1


@pytest.mark.parametrize(
    ("available", "threads"),
    [(MIN_AVAILABLE_BYTES - 1, 1), (MIN_AVAILABLE_BYTES, THREADS), (None, THREADS)],
)
def test_it_needs_memory_to_spare(
    models: ReloadableStore, available: int | None, threads: int
) -> None:
    wide = opened(models, available=available)
    assert wide.threads == threads
    assert not wide.outdated()


def test_it_follows_the_default_model(models: ReloadableStore) -> None:
    wide = opened(models)
    first = models.get()
    models.unload(SMALL_V1)
    assert wide.outdated()
    wide.update()
    assert (first.wide, wide.threads) == (None, 1)
    models.get().used = True
    wide.update()
    assert models.get().name == SMALL_V2
    assert models.get().wide is not None


def test_a_reload_frees_the_old_sessions_and_makes_a_new_one(
    models: ReloadableStore, folder: Path
) -> None:
    wide = opened(models)
    held = weakref.ref(models.get())
    os.utime(folder / f"{SMALL_V1}.onnx", ns=(1, 1))
    models.reload()
    assert held() is None
    assert wide.threads == 1
    models.get().used = True
    assert wide.outdated()
    wide.update()
    assert wide.threads == THREADS


def test_a_file_that_was_replaced_after_the_model_was_loaded_is_not_opened(
    models: ReloadableStore, folder: Path
) -> None:
    shutil.copy(folder / f"{SMALL_V2}.onnx", folder / "new")
    (folder / "new").rename(folder / f"{SMALL_V1}.onnx")
    wide = opened(models)
    assert (wide.threads, models.get().wide) == (1, None)


def test_a_session_that_answers_differently_is_not_used(models: ReloadableStore) -> None:
    other = models.path(SMALL_V2)
    wide = WideSession(
        models,
        THREADS,
        lambda _: open_session(other, None, CPU_ONLY, memory_arena=True, threads=THREADS),
        lambda: None,
    )
    models.get().used = True
    wide.update()
    assert (wide.threads, models.get().wide) == (1, None)


def test_a_head_as_the_default_model_runs_on_the_second_session_of_its_base(folder: Path) -> None:
    write_head(folder / f"{SMALL_V2}.onnx")
    graphs = GraphCache(folder)
    models = ReloadableStore(
        Selection(folder, default="gate"), lambda path: load_model(path, graphs=graphs)
    )
    wide = opened(models)
    gate, base = models.get(), models.get(SMALL_V2)
    assert wide.threads == THREADS
    assert base.wide is not None
    pixels = pixels_of(0, 96)
    np.testing.assert_allclose(
        gate.run([PROBABILITIES], pixels, wide=True), gate.run([PROBABILITIES], pixels), atol=1e-6
    )
    models.unload("gate")
    wide.update()
    assert (gate.wide, base.wide, wide.threads) == (None, None, 1)
