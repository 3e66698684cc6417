"""A classifier that captures answers as one that does not."""

from pathlib import Path

import pytest

from app.capture.classifier import capturing
from app.capture.folder import CaptureFolder
from app.capture.rule import CaptureRule
from app.capture.writer import CaptureWriter
from app.images.limits import ImageLimits
from app.inference.classify import Classifier
from app.model.model import load_model
from app.telemetry.request_counts import Counts
from tests.app.sample_images import encode, noise
from tests.exports import export_random


@pytest.mark.parametrize(
    "outputs", [("probabilities",), ("embedding",), ("embedding", "probabilities")]
)
def test_a_run_has_the_outputs_that_were_asked_for(
    tmp_path: Path, outputs: tuple[str, ...]
) -> None:
    model = load_model(export_random(tmp_path / "store"))
    image = encode(noise())
    plain = Classifier(ImageLimits(), reduced_decode=False)
    (tmp_path / "kept").mkdir()
    counts = Counts("captures", "", ("outcome",))
    writer = CaptureWriter(CaptureFolder(tmp_path / "kept", 10**6, 24), counts)
    same = capturing(plain, CaptureRule(1, unknown=True, audit_rate=0), writer)
    before, after = (
        each.run(image, model=model, resolution=96, outputs=outputs).outputs
        for each in (plain, same)
    )
    writer.close()
    assert [len(output) for output in after] == [len(output) for output in before]
    for output, wanted in zip(after, before, strict=True):
        assert output == pytest.approx(wanted, abs=1e-6)
    assert sum(counts.counts.values()) == ("probabilities" in outputs)
    assert not same.reduced_decode
