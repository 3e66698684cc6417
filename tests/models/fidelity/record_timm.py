"""Record what timm and torchvision themselves make of weights that follow from tensors' names.

`timm.json` beside this script holds their answers, their own parameter counts, and the names and
shapes of their state dicts as one hash. To make it again, from the folder of the project:

    python -m venv /tmp/timm
    /tmp/timm/bin/pip install torch torchvision timm numpy pillow scikit-image pydantic
    PYTHONPATH=. /tmp/timm/bin/python -m tests.models.fidelity.record_timm

Apart from the inputs and the rule for the weights, nothing of this project takes part.
"""

import hashlib
import json
from typing import Any

import timm
import torch
import torchvision
from torch import nn

from tests.models.fidelity.answers import record_of
from tests.models.fidelity.inputs import Input, packaged_inputs
from tests.models.fidelity.timm_record import RECORD
from tests.models.fidelity.torch_names import derive

INPUTS = ("chelsea/centre", "rocket/top_left")
TIMM = (
    "mobilenetv1_100",
    "mobilenetv1_100h",
    "mobilenetv1_125",
    "mobilenetv2_050",
    "mobilenetv2_100",
    "mobilenetv2_110d",
    "mobilenetv2_120d",
    "mobilenetv2_140",
)
TORCHVISION = {"mobilenet_v2_0.35": 0.35, "mobilenet_v2_1.0": 1.0, "mobilenet_v2_1.4": 1.4}
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def networks() -> dict[str, tuple[nn.Module, tuple[float, ...], tuple[float, ...]]]:
    """Each network with the mean and the standard deviation of its own evaluation."""
    made = {}
    for name in TIMM:
        network = timm.create_model(name, pretrained=False)
        config = network.pretrained_cfg
        made[name] = network, config["mean"], config["std"]
    for name, width in TORCHVISION.items():
        made[name] = torchvision.models.mobilenet_v2(width_mult=width), MEAN, STD
    return made


def shapes(network: nn.Module) -> dict[str, tuple[int, ...]]:
    return {name: tuple(tensor.shape) for name, tensor in network.state_dict().items()}


def answer(
    network: nn.Module, given: Input, mean: tuple[float, ...], std: tuple[float, ...]
) -> dict[str, Any]:
    """What the network makes of an input, as it is recorded."""
    pixels = torch.from_numpy(given.pixels).permute(2, 0, 1).float() / 255
    scaled = (pixels - torch.tensor(mean)[:, None, None]) / torch.tensor(std)[:, None, None]
    with torch.inference_mode():
        probabilities = network(scaled[None])[0].softmax(0).numpy()
    return record_of(given, probabilities)


def main() -> None:
    torch.set_num_threads(1)
    inputs = [given for given in packaged_inputs() if given.name in INPUTS]
    lines = []
    for name, (network, mean, std) in networks().items():
        weights = derive(shapes(network))
        state = network.state_dict() | {key: torch.from_numpy(w) for key, w in weights.items()}
        network.load_state_dict(state, strict=True)
        network.eval()
        named = json.dumps([[key, list(shape)] for key, shape in sorted(shapes(network).items())])
        record = {
            "name": name,
            "params": sum(parameter.numel() for parameter in network.parameters()),
            "names_sha256": hashlib.sha256(named.encode()).hexdigest(),
            "answers": [answer(network, given, mean, std) for given in inputs],
        }
        lines.append(json.dumps(record))
        print(name, record["params"])
    versions = {"timm": timm.__version__, "torchvision": torchvision.__version__}
    head = json.dumps({**versions, "torch": torch.__version__})[:-1]
    body = ",\n".join(f"  {line}" for line in lines)
    RECORD.write_text(f'{head}, "networks": [\n{body}\n]}}\n')


if __name__ == "__main__":
    main()
