"""What the guest runs: the service's own decoding, resizing and inference, between marks.

    python -m loadtest.arm.guest PHOTO.jpg FOLDER MODEL.onnx...

Answers with a line of JSON: for every model the five most probable classes. The plugin prints the
count of instructions at each mark. The graphs that were computed go into FOLDER.
"""

import json
import os
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

IMAGES = 3
MARKS = 3  # of an image: before it, with its pixels, with its probabilities


def mark() -> None:
    """Make a system call that nothing else makes and that changes nothing."""
    os.getsid(0)


def classify(file: Path, photo: bytes) -> list[int]:
    """Classify the photo `IMAGES` times and return the five most probable classes."""
    from app.card.card import PROBABILITIES
    from app.images.decode import load_image
    from app.images.limits import ImageLimits
    from app.inference.classify import ranked
    from app.model.graph_cache import GraphCache
    from app.model.model import load_model
    from app.settings import Settings

    limits = ImageLimits.from_settings(Settings())
    with TemporaryDirectory() as store:
        model = load_model(file, graphs=GraphCache(Path(store)))
    side, rule = model.card.resolution, model.card.preprocessing
    for _ in range(IMAGES):
        mark()
        pixels = load_image(photo, side, rule, limits)
        mark()
        [row] = model.run([PROBABILITIES], pixels[None])
        mark()
    return ranked(row, 5)


def save_optimised(file: Path, target: Path) -> None:
    """Write the graph that onnxruntime makes of a model on this CPU, in ONNX."""
    import onnxruntime as ort

    from app.card.card_file import read_card_file
    from app.model.graph_cache import form_here

    data = file.read_bytes()
    options = ort.SessionOptions()
    options.log_severity_level = 3
    options.optimized_model_filepath = str(target)
    form = form_here(data, read_card_file(file).card)
    ort.InferenceSession(form or data, options, providers=["CPUExecutionProvider"])


def main(photo: Path, folder: Path, files: list[Path]) -> None:
    data = photo.read_bytes()
    print(json.dumps([classify(file, data) for file in files]))
    for file in files:
        save_optimised(file, folder / file.name)


if __name__ == "__main__":
    photo, folder, *files = map(Path, sys.argv[1:])
    main(photo, folder, files)
