"""Write the small `.pth` files of this folder with torch itself.

They are the proof that our readers understand what torch writes. To make them again:

    python -m venv /tmp/torch && /tmp/torch/bin/pip install torch==2.13.0 numpy
    /tmp/torch/bin/python tests/models/checkpoints/torch/data/make_torch_files.py

Each value is known from its index (see `tests/models/checkpoints/torch/test_torch_pickle.py`).
"""

import io
import zipfile
from collections import OrderedDict
from pathlib import Path

import torch

FOLDER = Path(__file__).parent


def tensors() -> "OrderedDict[str, torch.Tensor]":
    """Every type and kind of view that a state dict may hold."""
    grid = torch.arange(24, dtype=torch.float32).reshape(4, 6)
    return OrderedDict(
        float32=grid.clone() / 8,
        float64=torch.arange(3, dtype=torch.float64) / 8,
        half=torch.arange(5, dtype=torch.float16) / 8,
        int64=torch.arange(4),
        int32=torch.arange(4, dtype=torch.int32),
        uint8=torch.arange(4, dtype=torch.uint8),
        flags=torch.tensor([True, False, True]),
        scalar=torch.tensor(7),
        shared_whole=grid,
        shared_transposed=grid.t(),
        shared_window=grid[1:3, 2:5],
        shared_every_second=grid[:, ::2],
        parameter=torch.nn.Parameter(torch.arange(2, dtype=torch.float32) + 0.5),
    )


def tiny_network() -> torch.nn.Module:
    """Convolution and batch norm, whose state dict carries torch's version table."""
    torch.manual_seed(0)
    network = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3, bias=False), torch.nn.BatchNorm2d(4))
    network(torch.rand(2, 3, 8, 8))
    return network


def save(name: str, content: object) -> None:
    torch.save(content, FOLDER / f"{name}_zip.pth")
    torch.save(content, FOLDER / f"{name}_legacy.pth", _use_new_zipfile_serialization=False)


def save_script(path: Path) -> None:
    """A program of torch, without the places in torch's own source that it notes down."""
    whole = io.BytesIO()
    torch.jit.save(torch.jit.script(tiny_network()), whole)
    with zipfile.ZipFile(whole) as source, zipfile.ZipFile(path, "w") as target:
        for entry in source.infolist():
            if not entry.filename.endswith(".debug_pkl"):
                target.writestr(entry, source.read(entry))
    torch.jit.load(path)


if __name__ == "__main__":
    save("tensors", tensors())
    save("network", tiny_network().state_dict())
    save("bfloat16", {"weight": torch.ones(2, dtype=torch.bfloat16)})
    save("expanded", {"weight": torch.ones(1).expand(1000)})
    save("nested", {"state_dict": tiny_network().state_dict(), "epoch": 3})
    save("numbered", {0: torch.ones(2)})
    save_script(FOLDER / "script_zip.pth")
