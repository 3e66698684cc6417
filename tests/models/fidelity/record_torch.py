"""Record what torch itself makes of torchvision's MobileNetV2 weights.

`torch_mobilenet_v2.json` beside this script holds its answers. To make it again, from the folder
of the project, with the checkpoint that `zoo.toml` names:

    python -m venv /tmp/torch && /tmp/torch/bin/pip install torch==2.13.0 numpy pillow scikit-image
    /tmp/torch/bin/python -m tests.models.fidelity.record_torch mobilenet_v2-b0353104.pth \
        --photos ../shared/photos

Apart from the inputs, nothing of this project takes part: torch reads the file and runs a network
that is written here once more, with the module names that the file has.
"""

import argparse
import json
from pathlib import Path
from typing import Any

import torch
from torch import nn

from tests.models.fidelity.answers import record_of
from tests.models.fidelity.inputs import Input, packaged_inputs, photo_inputs
from tests.models.fidelity.torch_record import RECORD

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
# t, c, n, s (arXiv 1801.04381, Table 2)
TABLE = (
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)


def unit(entering: int, out: int, kernel: int, stride: int = 1, groups: int = 1) -> nn.Sequential:
    """Convolution, batch norm, ReLU6."""
    conv = nn.Conv2d(entering, out, kernel, stride, kernel // 2, groups=groups, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(out), nn.ReLU6())


class Block(nn.Module):  # type: ignore[misc]  # its base has no types
    """An inverted residual with a linear bottleneck."""

    def __init__(self, entering: int, out: int, t: int, stride: int) -> None:
        super().__init__()
        wide = entering * t
        self.residual = stride == 1 and entering == out
        self.conv = nn.Sequential(
            *([unit(entering, wide, 1)] if t > 1 else []),
            unit(wide, wide, 3, stride, groups=wide),
            nn.Conv2d(wide, out, 1, bias=False),
            nn.BatchNorm2d(out),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        made: torch.Tensor = self.conv(x)
        return x + made if self.residual else made


class MobileNetV2(nn.Module):  # type: ignore[misc]  # its base has no types
    """Width 1.0, 1000 classes; float [N, 3, height, width] to logits [N, 1000]."""

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = [unit(3, 32, 3, 2)]
        channels = 32
        for t, c, n, s in TABLE:
            for index in range(n):
                layers.append(Block(channels, c, t, s if index == 0 else 1))
                channels = c
        self.features = nn.Sequential(*layers, unit(channels, 1280, 1))
        self.classifier = nn.Sequential(nn.Identity(), nn.Linear(1280, 1000))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.classifier(self.features(x).mean((2, 3)))
        return logits


def answer(network: MobileNetV2, given: Input) -> dict[str, Any]:
    """What the network makes of an input, as it is recorded."""
    pixels = torch.from_numpy(given.pixels).permute(2, 0, 1).float() / 255
    scaled = (pixels - torch.tensor(MEAN)[:, None, None]) / torch.tensor(STD)[:, None, None]
    with torch.inference_mode():
        probabilities = network(scaled[None])[0].softmax(0).numpy()
    return record_of(given, probabilities)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("--photos", type=Path, required=True)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    network = MobileNetV2()
    network.load_state_dict(torch.load(arguments.checkpoint, weights_only=True), strict=True)
    network.eval()
    inputs = [*packaged_inputs(), *photo_inputs(arguments.photos)]
    answers = [json.dumps(answer(network, given)) for given in inputs]
    lines = ",\n".join(f"  {line}" for line in answers)
    RECORD.write_text(f'{{"torch": "{torch.__version__}", "answers": [\n{lines}\n]}}\n')


if __name__ == "__main__":
    main()
