"""The models that the benchmarks serve, and a store that holds just one of them."""

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from loadtest.host.gateway import GATEWAY, missing

ROOT = Path(__file__).resolve().parents[2]
STORE = ROOT / "models" / "store"
SHARED = ROOT.parent / "shared"  # photos and weights, where the developer has them
LARGEST, SMALLEST = "mobilenet_v2_1.0_224", "mobilenet_v1_0.25_128"
LARGEST_INT8 = f"{LARGEST}_ptq"


def make_store(model: str, source: Path, folder: Path) -> Path:
    """Make a store `folder/MODEL` with only this model, and return the model's file.

    A float model other than `LARGEST` that is not at hand gets random weights, which cost the same
    time and memory.

    Raises:
        SystemExit: `LARGEST` is missing; the text says how to get it.
    """
    store = folder / model
    store.mkdir()
    if file := _bring(model, source, store):
        return file
    if model == LARGEST:
        raise SystemExit(f"error: {missing(model, source)}")
    print(f"{missing(model, source)} Until then, random weights stand in for it.", file=sys.stderr)
    command = [sys.executable, "-m", "loadtest.host.stand_in", model, str(store)]
    subprocess.run(command, check=True)
    os.environ["GATEWAY_ALLOW_UNTRAINED"] = "true"
    return store / f"{model}.onnx"


def make_auto_store(models: Sequence[str], source: Path, folder: Path) -> Path:
    """Make a store `folder/store` with the models that are at hand, and name the others.

    Raises:
        SystemExit: `LARGEST` is missing; the text says how to get it.
    """
    store = folder / "store"
    store.mkdir()
    for model in models:
        if _bring(model, source, store):
            continue
        if model == LARGEST:
            raise SystemExit(f"error: {missing(model, source)}")
        print(f"{missing(model, source)} It is left out.", file=sys.stderr)
    return store


def _bring(model: str, source: Path, store: Path) -> Path | None:
    """Copy a model from the source store, or export it from weights at hand."""
    file = source / f"{model}.onnx"
    if file.is_file():
        return Path(shutil.copy(file, store))
    weights = ("--weights", SHARED / "weights") if (SHARED / "weights").is_dir() else ()
    found = _models("pull", model, "--offline", *weights, store=store)
    return store / file.name if found else None


def make_default_store(source: Path, folder: Path) -> Path | None:
    """Make a store `folder/default` with both forms of the default model, if `source` has both."""
    files = [source / f"{name}.onnx" for name in (LARGEST, LARGEST_INT8)]
    if not all(file.is_file() for file in files):
        return None
    store = folder / "default"
    store.mkdir()
    for file in files:
        shutil.copy(file, store)
    return store


def bring_models(names: Sequence[str], store: Path) -> dict[str, Path]:
    """Export models anew from weights at hand, or copy them from `STORE`; leave out the others."""
    store.mkdir()
    weights = ("--weights", SHARED / "weights") if (SHARED / "weights").is_dir() else ()
    found = {}
    for name in names:
        file = store / f"{name}.onnx"
        if not _models("pull", name, "--offline", *weights, store=store):
            if not (STORE / file.name).is_file():
                continue
            shutil.copy(STORE / file.name, store)
        found[name] = file
    return found


def _models(*arguments: str | Path, store: Path) -> bool:
    """Run `mobilenet-gateway models ...` and return whether it succeeded."""
    command = [str(GATEWAY), "models", *map(str, arguments), "--store", str(store)]
    return subprocess.run(command, capture_output=True).returncode == 0
