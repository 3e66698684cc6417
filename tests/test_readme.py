"""What README shows first: two commands, an answer, three images."""

import json
import re
from pathlib import Path

import httpx
import pytest

import app
from app.settings import Settings
from tests.conftest import ROOT
from tests.serving import served

README = (ROOT / "README.md").read_text("utf-8")
SAMPLE = ROOT / "examples" / "cat.jpg"
PRINTED = re.compile(r"^\$ curl --data-binary @(\S+) '[\w:]+(/\S+)'\n(\{.*\})$", re.MULTILINE)


def answer(store: Path, name: str, query: str = "/predict?top_k=2") -> dict[str, object]:
    """What a model says of the sample."""
    if not (store / f"{name}.onnx").is_file():
        pytest.skip(f"needs {name} in the store: run `mobilenet-gateway models pull {name}`")
    with served(Settings(store=store, models=(name,))) as client:
        found: httpx.Response = client.post(query, content=SAMPLE.read_bytes())
    assert found.status_code == 200, found.text
    body: dict[str, object] = found.json()
    return body


def without_times(body: dict[str, object]) -> object:
    """An answer, with probabilities to 4 digits: processors differ in the last ones."""
    text = json.dumps(body)
    text = re.sub(r', "(queue|decode|inference)_ms": [\d.e-]+', "", text)
    return json.loads(text, parse_float=lambda digits: round(float(digits), 4))


def test_the_commands_that_set_up_everything_come_first() -> None:
    assert re.findall(r"^    (.*)$", README, re.MULTILINE)[:2] == ["make serve", "make test"]


def test_the_first_request_has_the_answer_that_is_printed(real_store: Path) -> None:
    [(file, query, printed)] = PRINTED.findall(README)
    assert ROOT / file == SAMPLE
    expected = json.loads(printed)
    found = answer(real_store, expected["model"], query)
    assert without_times(found) == without_times(expected)


def test_the_float_form_says_what_is_printed(real_store: Path) -> None:
    [(label, probability)] = re.findall(r"float form answers: ([\w ]+) with ([\d.]+)\.", README)
    found = json.loads(json.dumps(answer(real_store, "mobilenet_v2_1.0_224")))
    best = found["results"][0]["predictions"][0]
    assert (best["label"], f"{best['probability']:.3f}") == (label, probability)


def test_the_sample_is_that_of_the_page_small_and_its_licence_is_known() -> None:
    page = ROOT / "app/http/static/examples"
    assert SAMPLE.resolve() == page / "cat.jpg"  # stored once
    assert re.search(r"^\| `cat\.jpg` \|.*\| CC0 \|$", (page / "README.md").read_text(), re.M)
    assert SAMPLE.stat().st_size < 100_000


def test_three_images_show_it_and_are_small() -> None:
    images = [ROOT / target for target in re.findall(r"!\[[^\]]+\]\(([^)]+)\)", README)]
    assert len(images) == 3
    assert sum(image.stat().st_size for image in images) < 300_000


def test_the_version_is_that_of_the_code_and_has_a_dated_section() -> None:
    container = (ROOT / "docs" / "container.md").read_text("utf-8")
    changes = (ROOT / "CHANGELOG.md").read_text("utf-8")
    assert re.findall(r"version is ([\d.]+\d)", README) == [app.__version__]
    [(version, date)] = re.findall(
        r"version in this checkout is \*\*(\S+)\*\*, of (\S+) ", container
    )
    assert version == app.__version__
    assert f"\n## {version} ({date})\n" in changes


@pytest.mark.parametrize(
    ("page", "said", "architecture"),
    [
        ("README.md", r"a (\d+) MB image", "amd64"),
        ("deploy/x86.md", r"image needs (\d+) MB", "amd64"),
        ("deploy/jetson.md", r"no CUDA, (\d+) MB", "arm64"),
        ("deploy/raspberry-pi.md", r"image \| (\d+) MB", "arm64"),
    ],
)
def test_the_size_of_the_image_is_the_recorded_one(page: str, said: str, architecture: str) -> None:
    recorded = json.loads((ROOT / "container" / "sizes.json").read_text("utf-8"))
    [size] = re.findall(said, (ROOT / page).read_text("utf-8"))
    assert float(size) * 1e6 == pytest.approx(recorded[architecture]["bytes"], rel=0.03)
