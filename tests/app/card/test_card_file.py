"""The card and the shapes of a file, read without onnx, against what onnx reads."""

from pathlib import Path
from random import Random

import onnx
import pytest
from onnx import TensorProto, helper

from app.card.card import CARD_KEY
from app.card.card_file import read_card_file
from app.errors import CardError, ModelFileError
from tests.conftest import SMALL_V1, SMALL_V2


@pytest.mark.parametrize("name", [SMALL_V1, SMALL_V2])
def test_a_file_says_what_onnx_reads(store: Path, name: str) -> None:
    read = read_card_file(store / f"{name}.onnx")
    proto = onnx.load(store / f"{name}.onnx")
    [text] = [item.value for item in proto.metadata_props if item.key == CARD_KEY]
    assert read.card.model_dump_json() == text
    for found, wanted in ((read.inputs, proto.graph.input), (read.outputs, proto.graph.output)):
        assert found == {
            value.name: tuple(
                dimension.dim_value if dimension.HasField("dim_value") else None
                for dimension in value.type.tensor_type.shape.dim
            )
            for value in wanted
        }


def test_fixed_dimensions_are_read_as_numbers(store: Path, tmp_path: Path) -> None:
    proto = onnx.load(store / f"{SMALL_V2}.onnx")
    proto.graph.ClearField("input")
    proto.graph.input.append(
        helper.make_tensor_value_info("image", TensorProto.UINT8, [1, 300, 300, 3])
    )
    onnx.save(proto, tmp_path / "fixed.onnx")
    assert read_card_file(tmp_path / "fixed.onnx").inputs == {"image": (1, 300, 300, 3)}


def test_a_file_without_a_card_says_so(store: Path, tmp_path: Path) -> None:
    proto = onnx.load(store / f"{SMALL_V2}.onnx")
    proto.ClearField("metadata_props")
    onnx.save(proto, tmp_path / "foreign.onnx")
    with pytest.raises(CardError, match=r"foreign.onnx: no model card"):
        read_card_file(tmp_path / "foreign.onnx")


def test_what_cannot_be_read_is_a_model_file_error(tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match=r"gone.onnx: No such file"):
        read_card_file(tmp_path / "gone.onnx")
    with pytest.raises(ModelFileError, match=r": Is a directory"):
        read_card_file(tmp_path)


def test_damaged_files_have_no_other_error(store: Path, tmp_path: Path) -> None:
    whole = (store / f"{SMALL_V1}.onnx").read_bytes()
    random, path = Random(16), tmp_path / "damaged.onnx"
    card_at = whole.index(CARD_KEY.encode())
    # The weights are skipped, so most changes go where something is read.
    near = [*range(64), *range(card_at - 3000, card_at + 64), *range(len(whole) - 64, len(whole))]
    failed = 0
    for turn in range(100):
        data = bytearray(whole)
        if turn % 4 == 0:
            data = data[: random.choice([*near, random.randrange(len(whole))])]
        else:
            for at in random.sample(near, 1 + turn % 3):
                data[at] = random.randrange(256)
        path.write_bytes(data)
        try:
            read_card_file(path)
        except ModelFileError:
            failed += 1
    assert failed > 25
