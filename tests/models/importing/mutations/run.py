"""Import mutated graphs, and hold every one that is adopted against what its own runtime answers.

    python -m tests.models.importing.mutations.run [--graphs 660]

A mutated graph is valid if LiteRT or onnxruntime runs it and it gives a finite score for each
class. Of the valid ones at least 40 % have to be adopted, and each of those has to answer as the
original does, to pixels that the import itself does not use.
"""

import argparse
import json
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from app.card.card import INPUT, PROBABILITIES
from app.model.runtime import new_session
from models.importing.adopt import adopt_file
from models.importing.checks import Refused
from models.importing.dialogue.options import Choices
from tests.models.importing.mutations import onnx_mutations, tflite_mutations
from tests.models.importing.mutations.networks import (
    CLASSES,
    NETWORKS,
    SIDE,
    onnx_model,
    tflite_file,
)
from tests.models.translation.tflite.operator_files import PRECISIONS

MAX_CHANGES = 3
LEAST_ADOPTED, LEAST_VALID = 0.4, 0.5
FLOAT_TOLERANCE, INTEGER_TOLERANCE = 1e-4, 0.02
KINDS = [(network, precision) for network in NETWORKS for precision in PRECISIONS]
KINDS += [(network, "onnx") for network in NETWORKS for _ in range(3)]
Floats = NDArray[np.float64]


@dataclass
class Outcome:
    """What became of one mutated graph."""

    kind: str
    changes: list[str]
    valid: bool = False
    adopted: bool = False
    difference: float = 0.0
    first_class: bool = True
    reason: str = ""

    @property
    def wrong(self) -> bool:
        loose = self.kind.endswith(("dynamic", "int8", "per_channel"))
        bound = INTEGER_TOLERANCE if loose else FLOAT_TOLERANCE
        return self.adopted and not (self.difference <= bound and self.first_class)


@dataclass
class Tally:
    """Outcomes, and what they come to."""

    outcomes: list[Outcome] = field(default_factory=list)

    def summary(self) -> dict[str, Any]:
        valid = [one for one in self.outcomes if one.valid]
        adopted = [one for one in valid if one.adopted]
        reasons = Counter(one.reason[:70] for one in valid if not one.adopted)
        return {
            "graphs": len(self.outcomes),
            "valid": len(valid),
            "adopted": len(adopted),
            "wrong": [vars(one) for one in self.outcomes if one.wrong],
            "largest difference": max((one.difference for one in adopted), default=0),
            "reasons": dict(reasons.most_common()),
        }


def pixels() -> NDArray[np.uint8]:
    """Smooth pictures and plain noise, none of which the import looks at."""
    random = np.random.default_rng(77)
    ramp = np.linspace(0, 1, SIDE)
    smooth = [
        255 * (0.5 + 0.5 * np.sin(6 * (a * ramp[:, None, None] + b * ramp[None, :, None] + c)))
        for a, b, c in random.uniform(0.2, 3, (4, 3, 3))
    ]
    noise = random.integers(0, 256, (2, SIDE, SIDE, 3))
    made: NDArray[np.uint8] = np.concatenate([np.stack(smooth), noise]).astype(np.uint8)
    return made


def litert_answers(content: bytes, images: NDArray[np.uint8]) -> Floats | None:
    """What LiteRT answers, and None if it does not run the file."""
    from ai_edge_litert.interpreter import Interpreter

    try:
        interpreter = Interpreter(model_content=content, num_threads=1)
        interpreter.allocate_tensors()
        [source], [target] = interpreter.get_input_details(), interpreter.get_output_details()
        rows = []
        for image in images:
            interpreter.set_tensor(source["index"], _stored(image[None], source))
            interpreter.invoke()
            rows.append(interpreter.get_tensor(target["index"]).astype(np.float64).reshape(-1))
    except (RuntimeError, ValueError):
        return None
    scale, zero = target["quantization"]
    return np.stack(rows) if not scale else (np.stack(rows) - zero) * scale


def _stored(image: NDArray[np.uint8], source: dict[str, Any]) -> NDArray[Any]:
    """Pixels from -1 to 1 as the file stores them."""
    kind = np.dtype(source["dtype"])
    scaled = (image / np.float32(255) - np.float32(0.5)) / np.float32(0.5)
    if kind == np.float32:
        return scaled.astype(np.float32)
    scale, zero = source["quantization"]
    low, high = ((np.iinfo(kind).min - zero) * scale, (np.iinfo(kind).max - zero) * scale)
    usual = any(
        abs(low - a) < 0.02 * (high - low) and abs(high - b) < 0.02 * (high - low)
        for a, b in ((-1, 1), (0, 1), (0, 255))
    )
    if usual:
        return (image.astype(np.int16) + np.iinfo(kind).min).astype(kind)
    limits = np.iinfo(kind)
    levels = np.round(scaled / np.float32(scale)) + zero
    stored: NDArray[Any] = np.clip(levels, limits.min, limits.max).astype(kind)
    return stored


def onnx_answers(content: bytes, images: NDArray[np.uint8]) -> Floats | None:
    """What onnxruntime answers, and None if it does not run the file."""
    try:
        onnx.checker.check_model(onnx.load_from_string(content))
        session = new_session(content, log_errors=False)
        [entry] = session.get_inputs()
        scaled = ((images / np.float32(255) - np.float32(0.5)) / np.float32(0.5)).astype(np.float32)
        rows = [session.run(None, {entry.name: image[None]})[0].reshape(-1) for image in scaled]
        return np.stack(rows).astype(np.float64)
    except Exception:  # onnxruntime's errors have no common class
        return None


def outcome(random: Random, network: str, precision: str, folder: Path) -> Outcome:
    """Mutate a network of a kind, import it, compare."""
    path = folder / ("own.onnx" if precision == "onnx" else "own.tflite")
    images, changes = pixels(), range(random.randint(1, MAX_CHANGES))
    if precision == "onnx":
        model = onnx_model(network, folder / "base.tflite")
        said = [onnx_mutations.mutate(random, model) for _ in changes]
        path.write_bytes(model.SerializeToString())
        expected = onnx_answers(path.read_bytes(), images)
    else:
        file = tflite_file(network, precision)
        said = [tflite_mutations.mutate(random, file) for _ in changes]
        path.write_bytes(file.encode())
        expected = litert_answers(path.read_bytes(), images)
    made = Outcome(f"{network} {precision}", said)
    if expected is not None:
        made.valid = expected.shape[1] == CLASSES and bool(np.isfinite(expected).all())
    try:
        adopted = _imported(path, folder, precision)
    except Refused as error:
        made.reason = str(error)
        return made
    made.adopted = True
    session = new_session(adopted.SerializeToString())
    found = [session.run([PROBABILITIES], {INPUT: image[None]})[0][0] for image in images]
    if expected is None or expected.shape != np.shape(found):
        made.difference = float("inf")
        return made
    rounded = precision in ("uint8", "int8", "per_channel")
    made.difference, made.first_class = _compare(np.stack(found), expected, rounded)
    return made


def _imported(path: Path, folder: Path, precision: str) -> onnx.ModelProto:
    labels = folder / "labels.txt"
    labels.write_text("\n".join(f"class {at}" for at in range(CLASSES)))
    plain = Choices(labels=str(labels))
    scaled = Choices(labels=str(labels), mean=(0.5,), std=(0.5,))
    if precision in ("uint8", "int8", "per_channel"):
        try:
            return adopt_file(path, plain, "own").model
        except Refused as error:
            if "range of pixels" not in str(error):
                raise
    if precision == "onnx":
        scaled = replace(scaled, like="keras")
    return adopt_file(path, scaled, "own").model


def _compare(found: Floats, expected: Floats, rounded: bool) -> tuple[float, bool]:
    """The largest difference, and whether the first class is the same where it stands out."""
    difference = float(np.abs(found - expected).max())
    top = np.sort(expected, axis=1)
    clear = top[:, -1] - top[:, -2] > (2 * INTEGER_TOLERANCE if rounded else 2 * FLOAT_TOLERANCE)
    same = found.argmax(axis=1) == expected.argmax(axis=1)
    return difference, bool(same[clear].all())


def run(graphs: int, seed: int = 0, kinds: Sequence[tuple[str, str]] = KINDS) -> Tally:
    """Import so many mutated graphs, of each kind in turn."""
    random, tally = Random(seed), Tally()
    with TemporaryDirectory() as folder:
        for at in range(graphs):
            network, precision = kinds[at % len(kinds)]
            tally.outcomes.append(outcome(random, network, precision, Path(folder)))
    return tally


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--graphs", type=int, default=660)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    summary = run(options.graphs, options.seed).summary()
    print(json.dumps(summary, indent=2))
    few = summary["valid"] < LEAST_VALID * summary["graphs"]
    few = few or summary["adopted"] < LEAST_ADOPTED * summary["valid"]
    sys.exit(1 if few or summary["wrong"] else 0)


if __name__ == "__main__":
    main()
