"""`mobilenet-gateway models export`."""

from pathlib import Path

import pytest

from app.card.card import CARD_KEY, parse_card
from models.export.export import read_metadata
from tests.app.cli_runner import refused, run
from tests.models.cli_runner import Capture

pytestmark = pytest.mark.usefixtures("empty_folder")


@pytest.mark.parametrize(
    ("family", "alpha", "resolution"),
    [("mobilenet_v1", "0.25", "96"), ("mobilenet_v2", "0.1", "96")],
)
def test_an_export_is_a_file_that_says_untrained(
    capsys: Capture, tmp_path: Path, family: str, alpha: str, resolution: str
) -> None:
    outcome = run(
        capsys, "models", "export", "--family", family, "--alpha", alpha,
        "--resolution", resolution, "--store", "made",
    )  # fmt: skip
    path = tmp_path / "made" / f"{family}_{alpha}_{resolution}_untrained.onnx"
    assert outcome.status == 0
    assert path.name in outcome.err
    assert not parse_card(read_metadata(path)[CARD_KEY]).trained


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        pytest.param(("--family", "resnet"), "Unknown family 'resnet'", id="family"),
        pytest.param(("--alpha", "-1"), "Alpha is -1", id="alpha"),
        pytest.param(("--alpha", "1000"), "alpha is 1000, which makes a file of", id="wide"),
        pytest.param(("--resolution", "100"), "Resolution is 100", id="resolution"),
        pytest.param(("--alpha", "0.1", "--store", "file/in"), "Not a directory", id="store"),
    ],
)
def test_an_export_that_cannot_be_is_rejected_with_its_reason(
    capsys: Capture, tmp_path: Path, arguments: tuple[str, ...], reason: str
) -> None:
    (tmp_path / "file").touch()
    assert reason in refused(capsys, "models", "export", *arguments)
