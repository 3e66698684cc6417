"""Loading one file of the store, and what is refused."""

from pathlib import Path

import numpy as np
import onnx
import pytest

from app.card.card import CARD_KEY, parse_card
from app.errors import BadQuery, CardError, ModelFileError
from app.model.model import Model, load_model
from models.export.export import read_metadata
from tests.app.resident import numbers
from tests.conftest import SMALL_V1, SMALL_V2


@pytest.fixture(scope="module")
def model(store: Path) -> Model:
    return load_model(store / f"{SMALL_V2}.onnx")


def changed(path: Path, target: Path, card: str | None = None, drop_output: str = "") -> Path:
    """A copy of an export with another card, none, or without one of its outputs."""
    proto = onnx.load(path)
    if card is None:
        proto.ClearField("metadata_props")
    else:
        onnx.helper.set_model_props(proto, {CARD_KEY: card})
    for index, output in enumerate(proto.graph.output):
        if output.name == drop_output:
            del proto.graph.output[index]
    onnx.save(proto, target)
    return target


def card_text(path: Path) -> str:
    return read_metadata(path)[CARD_KEY]


def test_a_loaded_model_knows_its_card_and_file(model: Model, store: Path) -> None:
    path = store / f"{SMALL_V2}.onnx"
    assert model.name == SMALL_V2
    assert model.file_bytes == path.stat().st_size
    assert model.card == parse_card(card_text(path))


@pytest.mark.parametrize("images", [1, 3])
@pytest.mark.parametrize("side", [96, 160])
def test_probabilities_and_embedding_have_one_row_an_image(
    model: Model, images: int, side: int
) -> None:
    batch = np.random.default_rng(0).integers(0, 256, (images, side, side, 3), dtype=np.uint8)
    probabilities = model.probabilities(batch)
    assert probabilities.shape == (images, 1000)
    assert probabilities.sum(axis=1) == pytest.approx(np.ones(images), abs=1e-5)
    assert model.embedding(batch).shape == (images, 1280)


@pytest.mark.parametrize("memory_arena", [True, False])
def test_after_a_rest_it_answers_the_same(store: Path, memory_arena: bool) -> None:
    model = load_model(store / f"{SMALL_V2}.onnx", memory_arena=memory_arena)
    image = np.random.default_rng(0).integers(0, 256, (1, 160, 160, 3), dtype=np.uint8)
    before = model.probabilities(image)
    model.release_memory()
    assert np.array_equal(model.probabilities(image), before)


def test_a_rest_gives_back_what_a_large_run_took(store: Path) -> None:
    code = """if True:
        import sys
        from pathlib import Path
        import numpy as np
        from app.system.memory import return_free_memory
        from app.model.model import load_model
        from tests.app.resident import resident_bytes

        model = load_model(Path(sys.argv[1]))
        model.probabilities(np.zeros((8, 512, 512, 3), np.uint8))
        return_free_memory()
        before = resident_bytes()
        model.release_memory()
        return_free_memory()
        print(before - resident_bytes())
    """
    [given_back], _ = numbers(code, store / f"{SMALL_V2}.onnx")
    assert given_back > 20e6


def test_without_a_resolution_the_trained_one_is_used(model: Model) -> None:
    assert model.check_resolution(None) == 96
    assert model.check_resolution(512) == 512


@pytest.mark.parametrize("resolution", [0, 64, 95, 97, 544, -96])
def test_a_resolution_that_the_graph_does_not_take_is_refused(
    model: Model, resolution: int
) -> None:
    with pytest.raises(BadQuery, match=f"{SMALL_V2} supports 96 to 512 .* not {resolution}"):
        model.check_resolution(resolution)


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"not a model at all", id="text"),
        pytest.param(bytes(range(256)) * 64, id="bytes"),
    ],
)
def test_a_file_that_is_no_model_is_refused_by_its_path(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "broken.onnx"
    path.write_bytes(content)
    with pytest.raises(ModelFileError, match=r"broken\.onnx: ") as caught:
        load_model(path)
    assert "\n" not in str(caught.value)


def test_half_of_a_model_is_refused(tmp_path: Path, store: Path) -> None:
    path = tmp_path / "half.onnx"
    content = (store / f"{SMALL_V1}.onnx").read_bytes()
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(ModelFileError, match=r"half\.onnx: "):
        load_model(path)


def test_a_file_that_cannot_be_read_is_refused_with_the_reason(tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match=r"gone\.onnx: No such file or directory"):
        load_model(tmp_path / "gone.onnx")
    (tmp_path / "folder.onnx").mkdir()
    with pytest.raises(ModelFileError, match=r"folder\.onnx: Is a directory"):
        load_model(tmp_path / "folder.onnx")


def test_a_model_of_others_is_refused_for_want_of_a_card(tmp_path: Path, store: Path) -> None:
    path = changed(store / f"{SMALL_V1}.onnx", tmp_path / "foreign.onnx")
    with pytest.raises(CardError, match=r"foreign\.onnx: no model card"):
        load_model(path)


def test_a_card_with_an_unknown_field_is_refused(tmp_path: Path, store: Path) -> None:
    path = store / f"{SMALL_V1}.onnx"
    text = card_text(path).replace('"name"', '"colour":"red","name"', 1)
    with pytest.raises(CardError, match=r"new\.onnx: its model card is not valid: colour: "):
        load_model(changed(path, tmp_path / "new.onnx", text))


def test_a_card_with_other_labels_than_the_graph_has_classes_is_refused(
    tmp_path: Path, store: Path
) -> None:
    path = store / f"{SMALL_V1}.onnx"
    card = parse_card(card_text(path)).model_copy(update={"labels": ("cat", "dog")})
    with pytest.raises(ModelFileError, match=r"\(1, 1000\) for 2 labels"):
        load_model(changed(path, tmp_path / "pets.onnx", card.model_dump_json()))


def test_a_graph_without_probabilities_is_refused(tmp_path: Path, store: Path) -> None:
    path = store / f"{SMALL_V1}.onnx"
    broken = changed(path, tmp_path / "mute.onnx", card_text(path), drop_output="probabilities")
    with pytest.raises(ModelFileError, match=r"mute\.onnx: the graph does not run: .*probabil"):
        load_model(broken)
