"""timm's MobileNetV1 and V2 (`timm/models/efficientnet.py`, 1.0.31), of any width and depth.

conv_stem, bn1            stem: convolution, batch norm
blocks.S.B. ...           block B of stage S; a stage starts where the papers' tables have a row of
                          their own, in V1 where a stride is 2
    conv_dw bn1, conv_pw bn2                    in V1 and in the first block of V2
    conv_pw bn1, conv_dw bn2, conv_pwl bn3      in V2: expansion, depthwise, projection
conv_head, bn2            head, in V1 only of the design that has one
classifier                linear, with a bias
"""

from collections.abc import Iterator
from pathlib import Path

from app.card.card import Family
from models.checkpoints.checkpoint import Checkpoint, template
from models.checkpoints.torch.state_dict import Convolution, read_layers
from models.network import mobilenet_v1
from models.network.design import PAPER_DESIGN, Design
from models.network.mobilenet_v2 import stage_repeats

CLASSIFIER = "classifier"


def read(
    path: Path, family: Family, design: Design = PAPER_DESIGN, *, eps: float = 1e-5
) -> Checkpoint:
    """Weights of that design; `eps` is that of its batch norm (torch's default).

    Raises:
        CheckpointError: the file cannot be read, or its tensors are not those of the network.
    """
    network = template(family, design)
    return read_layers(path, network, convolutions(family, design), CLASSIFIER, eps)


def convolutions(family: Family, design: Design = PAPER_DESIGN) -> Iterator[Convolution]:
    """Every convolution in timm's naming."""
    return _of_v1(design) if family == "mobilenet_v1" else _of_v2(design)


def _of_v1(design: Design) -> Iterator[Convolution]:
    yield Convolution("Conv2d_0", "conv_stem", "bn1")
    stage, block = 0, -1
    for index, (_, stride) in enumerate(mobilenet_v1.BLOCKS, start=1):
        stage, block = (stage + 1, 0) if stride == 2 else (stage, block + 1)
        prefix = f"blocks.{stage}.{block}"
        yield Convolution(f"Conv2d_{index}_depthwise", f"{prefix}.conv_dw", f"{prefix}.bn1")
        yield Convolution(f"Conv2d_{index}_pointwise", f"{prefix}.conv_pw", f"{prefix}.bn2")
    if design.head:
        yield Convolution("head", "conv_head", "bn2")


def _of_v2(design: Design) -> Iterator[Convolution]:
    yield Convolution("stem", "conv_stem", "bn1")
    places = [
        (stage, block)
        for stage, repeats in enumerate(stage_repeats(design.depth, design.fixed_ends))
        for block in range(repeats)
    ]
    for index, (stage, block) in enumerate(places):
        layers = {"expand": "conv_pw", "depthwise": "conv_dw", "project": "conv_pwl"}
        if stage == 0:
            layers = {"depthwise": "conv_dw", "project": "conv_pw"}
        for norm, (part, conv) in enumerate(layers.items(), start=1):
            prefix = f"blocks.{stage}.{block}"
            yield Convolution(f"block_{index}_{part}", f"{prefix}.{conv}", f"{prefix}.bn{norm}")
    yield Convolution("head", "conv_head", "bn2")
