"""The models that the benchmarks serve, and a store that holds just one of them."""

import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from loadtest.host.gateway import GATEWAY

ROOT = Path(__file__).resolve().parents[2]
STORE = ROOT / "models" / "store"
SHARED = ROOT.parent / "shared"  # photos and weights, where the developer has them
LARGEST, SMALLEST = "mobilenet_v2_1.0_224", "mobilenet_v1_0.25_128"
LARGEST_INT8 = f"{LARGEST}_ptq"


def make_store(model: str, source: Path, folder: Path) -> Path:
    """Make a store `folder/MODEL` with only this model, and return the model's file.

    A model other than `LARGEST` that is neither in the source store nor among the shared weights
    gets random weights, which cost the same time and memory.

    Raises:
        FileNotFoundError: the model is missing and cannot be made.
    """
    store = folder / model
    store.mkdir()
    file = source / f"{model}.onnx"
    if file.is_file():
        return Path(shutil.copy(file, store))
    if model == LARGEST:
        raise FileNotFoundError(f"{file} is missing. Run `mobilenet-gateway models pull`.")
    weights = SHARED / "weights"
    if weights.is_dir() and _models("pull", model, "--offline", "--weights", weights, store=store):
        return store / file.name
    family, alpha, resolution = model.rsplit("_", 2)
    shape = ("--family", family, "--alpha", alpha, "--resolution", resolution)
    if not _models("export", *shape, store=store):
        raise FileNotFoundError(f"{model} is not in {source} and could not be exported.")
    os.environ["GATEWAY_ALLOW_UNTRAINED"] = "true"
    return store / file.name


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
