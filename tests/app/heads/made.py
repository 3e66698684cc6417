"""Heads with random weights, in a store beside their base."""

import hashlib
from pathlib import Path

import numpy as np

from app.card.card_file import read_card_file
from app.heads.card import head_card
from app.heads.head import Head
from app.heads.head_file import pack_head


def write_head(base: Path, name: str = "gate", seed: int = 0) -> Head:
    """Write NAME.head.npz beside the file of the base: two classes, and `unknown`."""
    read = read_card_file(base)
    width = read.outputs["embedding"][1]
    assert width is not None
    random = np.random.default_rng(seed)
    references = np.abs(random.normal(size=(5, width))).astype(np.float32)
    references /= np.linalg.norm(references, axis=1, keepdims=True)
    sha256 = hashlib.sha256(base.read_bytes()).hexdigest()
    head = Head(
        card=head_card(read.card, sha256, name, ("closed", "open"), references),
        weights=random.normal(size=(2, width)).astype(np.float32),
        bias=np.array([0.5, -0.5], np.float32),
        references=references,
        threshold=0.7,
    )
    (base.parent / f"{name}.head.npz").write_bytes(pack_head(head, "{}"))
    return head
