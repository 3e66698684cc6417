from pathlib import Path

import pytest
from safetensors.numpy import save_file

from app.card.card import Family
from models.checkpoints.checkpoint import CheckpointError, template
from models.checkpoints.torch import timm
from models.network.design import PAPER_DESIGN, Design, define
from tests.models.checkpoints.torch.state_dicts import Tensors, state_dict

HEAD = Design(head=True)
DEEP = Design(depth=1.2, fixed_ends=True)
DESIGNS: list[tuple[Family, Design]] = [
    ("mobilenet_v1", PAPER_DESIGN),
    ("mobilenet_v1", HEAD),
    ("mobilenet_v2", PAPER_DESIGN),
    ("mobilenet_v2", DEEP),
]


def narrow(family: Family, design: Design) -> Tensors:
    network = define(family, 0.1, classes=10, design=design)
    return state_dict(network, timm.convolutions(family, design), timm.CLASSIFIER)


def save(tensors: Tensors, folder: Path) -> Path:
    path = folder / "model.safetensors"
    save_file(tensors, path)
    return path


@pytest.mark.parametrize(("family", "design"), DESIGNS)
def test_a_narrow_network_is_read_with_its_batch_norm_folded(
    tmp_path: Path, family: Family, design: Design
) -> None:
    layers = timm.read(save(narrow(family, design), tmp_path), family, design, eps=0).layers
    nodes = template(family, design).nodes
    assert list(layers) == [node.name for node in nodes if node.name in layers]
    for name, layer in layers.items():
        if name != "classifier":
            # scale 3 / sqrt(0.25) = 6, shift 5 - 7 * 6 = -37
            assert (layer.kernel == 12).all()
            assert (layer.bias == -37).all()
    assert layers["classifier"].kernel.shape[0] == 10


def test_a_deeper_network_has_its_blocks_in_the_stages_that_timm_gives_them() -> None:
    """2, 3, 4, 3 and 3 repeats times 1.2, rounded up; one block in the first stage and the last."""
    blocks = [name.conv.split(".")[1] for name in timm.convolutions("mobilenet_v2", DEEP)
              if name.layer.endswith("_project")]  # fmt: skip
    assert [blocks.count(stage) for stage in "0123456"] == [1, 3, 4, 5, 4, 4, 1]


@pytest.mark.parametrize(("family", "design"), DESIGNS)
@pytest.mark.parametrize("other", range(len(DESIGNS)))
def test_the_weights_of_another_network_are_rejected(
    tmp_path: Path, family: Family, design: Design, other: int
) -> None:
    if DESIGNS[other] == (family, design):
        return
    path = save(narrow(*DESIGNS[other]), tmp_path)
    with pytest.raises(CheckpointError, match=r"model\.safetensors: tensors are (missing|not of)"):
        timm.read(path, family, design)


def test_a_long_list_of_missing_tensors_is_cut(tmp_path: Path) -> None:
    path = save(narrow("mobilenet_v1", PAPER_DESIGN), tmp_path)
    with pytest.raises(CheckpointError) as refusal:
        timm.read(path, "mobilenet_v2")
    assert "more" in str(refusal.value)
    assert len(str(refusal.value)) < 400
