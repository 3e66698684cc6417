"""The quantization methods."""

from models.quantization.methods import METHODS
from tests.conftest import ROOT


def test_every_method_is_documented_in_its_order() -> None:
    page = (ROOT / "docs" / "models.md").read_text("utf-8")
    rows = [line.split("`")[1] for line in page.splitlines() if line.startswith("| `")]
    names = [method.name for method in METHODS]
    assert [name for name in rows if name in names] == names
