"""torchvision's MobileNetV2 state dict (`torchvision.models.mobilenet_v2`), of any width.

features.0.{0,1}          stem: convolution, batch norm
features.I.conv. ...      block I - 1, I = 1 to 17: pairs I.0, I.1 for the expansion (not in the
                          first block) and the depthwise layer, then convolution and batch norm
                          of the projection side by side
features.18.{0,1}         head
classifier.1              linear, with a bias
"""

from collections.abc import Iterator
from pathlib import Path

from models.checkpoints.checkpoint import Checkpoint, template
from models.checkpoints.torch.state_dict import Convolution, read_layers

BLOCKS = 17
CLASSIFIER = "classifier.1"


def read(path: Path, *, eps: float = 1e-5) -> Checkpoint:
    """Weights of torchvision's MobileNetV2; `eps` is that of its batch norm (torch's default).

    Raises:
        CheckpointError: the file cannot be read, or its tensors are not those of the network.
    """
    return read_layers(path, template("mobilenet_v2"), convolutions(), CLASSIFIER, eps)


def convolutions() -> Iterator[Convolution]:
    """Every convolution in torchvision's naming."""
    yield Convolution("stem", "features.0.0", "features.0.1")
    for block in range(BLOCKS):
        prefix = f"features.{block + 1}.conv"
        parts = ["depthwise"] if block == 0 else ["expand", "depthwise"]
        for index, part in enumerate(parts):
            yield Convolution(f"block_{block}_{part}", f"{prefix}.{index}.0", f"{prefix}.{index}.1")
        end = len(parts)
        yield Convolution(f"block_{block}_project", f"{prefix}.{end}", f"{prefix}.{end + 1}")
    yield Convolution("head", f"features.{BLOCKS + 1}.0", f"features.{BLOCKS + 1}.1")
