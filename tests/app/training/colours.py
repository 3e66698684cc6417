"""Photos of two colours, which any base tells apart, and a service to teach them to."""

import io
import os
from pathlib import Path
from typing import Any

import httpx
import numpy as np
from PIL import Image

from app.settings import Settings
from tests.conftest import SMALL_V2

KEY = "BOSS"
COLOURS = {"open": (200, 40, 30), "closed": (30, 60, 200), "none": (40, 190, 70)}


def photo(label: str, number: int, kind: str = "JPEG") -> bytes:
    """A noisy field of the label's colour, other noise for each number."""
    random = np.random.default_rng(number)
    pixels = np.array(COLOURS[label]) + random.normal(scale=30, size=(96, 128, 3))
    top, left = random.integers(0, 60), random.integers(0, 90)
    pixels[top : top + 36, left : left + 36] *= random.uniform(0.1, 0.6)
    buffer = io.BytesIO()
    Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8)).save(buffer, kind)
    return buffer.getvalue()


def settings(store: Path, heads: Path | None, **changes: Any) -> Settings:
    given: dict[str, Any] = {"default_model": SMALL_V2, "admin_key": KEY, "measure_s": 0}
    return Settings(store=store, heads=heads, **(given | changes))


def admin(client: httpx.Client) -> httpx.Client:
    """The same client with the admin key."""
    client.headers["Authorization"] = f"Bearer {KEY}"
    return client


def add(client: httpx.Client, label: str, *numbers: int, head: str = "gate") -> list[str]:
    """Add photos in one form; their ids."""
    files = [("image", (f"{n}.jpg", photo(label, n))) for n in numbers]
    answer = client.post(f"/heads/{head}/examples/{label}", files=files)
    assert answer.status_code == 201, answer.text
    return [one["id"] for one in answer.json()["examples"]]


def train(client: httpx.Client, head: str = "gate") -> dict[str, Any]:
    answer = client.post(f"/heads/{head}/train")
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def at_work(pid: int) -> bool:
    """Whether a child process has lowered its priority, ends with its parent, and has NumPy."""
    lowered = os.getpriority(os.PRIO_PROCESS, pid) > os.getpriority(os.PRIO_PROCESS, 0)
    return lowered and b"_umath_linalg" in Path(f"/proc/{pid}/maps").read_bytes()
