"""Running the foreign graph and the wrapped one side by side, before anything is written."""

from dataclasses import dataclass
from functools import partial
from itertools import takewhile
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from app.arrays import Float32Array, Uint8Array
from app.card.card import EMBEDDING, INPUT, PROBABILITIES
from app.errors import first_line
from app.model.runtime import new_session
from models.export.graph import InputScaling
from models.importing.checks import Refused
from models.importing.graph.inspect_graph import ImageInput, Scores
from models.network.resolution import RESOLUTIONS

IMAGES, JUDGED = 3, 24
TOLERANCE = 1e-4
GREY, GREY_BITS = (19595, 38470, 7471), 16  # Pillow's weights of red, green and blue
GREY_HALF = 1 << (GREY_BITS - 1)


class Runner:
    """A graph in onnxruntime; what goes wrong in it becomes a plain word."""

    def __init__(self, model: onnx.ModelProto) -> None:
        try:
            self.session = new_session(model.SerializeToString(), log_errors=False)
        except Exception as error:  # onnxruntime's errors have no common class
            raise Refused(f"onnxruntime cannot load the model: {first_line(error)}") from error

    def run(self, outputs: list[str], **inputs: NDArray[Any]) -> list[NDArray[Any]]:
        """What the named outputs are for these inputs.

        Raises:
            Refused: the graph does not run.
        """
        try:
            return list(self.session.run(outputs, inputs))
        except Exception as error:
            raise Refused(f"The model does not run: {first_line(error)}") from error


@dataclass(frozen=True, slots=True)
class Original:
    """The foreign graph as its own documentation would have one use it."""

    runner: Runner
    image: ImageInput
    scaling: InputScaling | None
    outputs: tuple[str, ...]
    bgr: bool = False

    def answers(self, pixels: Uint8Array) -> list[NDArray[Any]]:
        """The graph's own outputs for uint8 images [N, H, W, 3]."""
        batch = self.image.batch or 1
        count = -(-len(pixels) // batch) * batch
        padded = np.resize(pixels, (count, *pixels.shape[1:]))
        runs = []
        for start in range(0, count, batch):
            fed = {self.image.name: self.fed(padded[start : start + batch])}
            runs.append(self.runner.run(list(self.outputs), **fed))
        return [np.concatenate(parts)[: len(pixels)] for parts in zip(*runs, strict=True)]

    def fed(self, pixels: Uint8Array) -> NDArray[Any]:
        """Images as the file takes them."""
        if self.image.channels == 1:
            pixels = to_grey(pixels)
        fed: NDArray[Any] = pixels if self.image.uint8 else pixels.astype(np.float32)
        if self.scaling is not None:
            both = np.array((self.scaling.mean, self.scaling.std), np.float32)
            mean, std = both[:, : self.image.channels]
            fed = (fed / np.float32(255) - mean) / std
        if self.bgr:
            fed = np.ascontiguousarray(fed[..., ::-1])
        if self.image.layout == "nchw":
            return np.ascontiguousarray(fed.transpose(0, 3, 1, 2))
        return fed


def noise(resolution: int, images: int = IMAGES) -> Uint8Array:
    """Blocks of random colours in random contrast, the same every time: [N, side, side, 3]."""
    random = np.random.default_rng(0)
    coarse = random.integers(0, 256, (images, 8, 8, 3))
    steps = -(-resolution // 8)
    large = coarse.repeat(steps, axis=1).repeat(steps, axis=2)[:, :resolution, :resolution]
    grain = random.integers(-40, 41, large.shape)
    made: Uint8Array = np.clip(large + grain, 0, 255).astype(np.uint8)
    return made


def judged_images(resolution: int, *, plain_noise: bool = False) -> Uint8Array:
    """Images of low to high contrast, half of them sharp: [N, side, side, 3].

    With `plain_noise` the sharp ones have no two pixels alike.
    """
    half = JUDGED // 2
    shape = (half, resolution, resolution, 3)
    grain: Uint8Array = np.random.default_rng(2).integers(0, 256, shape, np.uint8)
    sharp = grain if plain_noise else noise(resolution, half)
    both = np.concatenate([sharp, _smooth(resolution, half)]).astype(np.float32)
    contrast = np.tile(np.linspace(0.2, 1, half, dtype=np.float32), 2).reshape(-1, 1, 1, 1)
    grey = np.float32(128)
    return np.round(grey + contrast * (both - grey)).clip(0, 255).astype(np.uint8)


def _smooth(resolution: int, images: int) -> Uint8Array:
    """Random colours that blend into each other, in squares of 3 to 8 a side."""
    random = np.random.default_rng(1)
    made = []
    for at in range(images):
        side = 3 + at % 6
        colours = random.integers(0, 256, (side, side, 3))
        places = np.linspace(0, side - 1, resolution)[:, None]
        shares = np.clip(1 - np.abs(places - np.arange(side)), 0, 1)
        made.append(np.einsum("yi,xj,ijc->yxc", shares, shares, colours))
    return np.round(made).astype(np.uint8)


def to_grey(pixels: Uint8Array) -> Uint8Array:
    """[N, H, W, 3] as [N, H, W, 1], by ITU-R 601 in Pillow's own whole numbers."""
    made: Uint8Array = (pixels @ np.array(GREY) + GREY_HALF >> GREY_BITS).astype(np.uint8)
    return made[..., None]


def to_probabilities(scores: Float32Array, kind: Scores) -> Float32Array:
    """Scores [N, classes, ...] as probabilities [N, classes]."""
    flat = scores.reshape(len(scores), -1).astype(np.float64)
    if kind == "sigmoid" and flat.shape[1] == 1:
        flat = np.concatenate([1 - flat, flat], axis=1)
    if kind in ("probabilities", "sigmoid"):
        return flat.astype(np.float32)
    if kind == "log probabilities":
        return np.exp(flat).astype(np.float32)
    powers = np.exp(flat - flat.max(axis=1, keepdims=True))
    made: Float32Array = (powers / powers.sum(axis=1, keepdims=True)).astype(np.float32)
    return made


def largest_difference(
    wrapped: Runner, expected: Float32Array, pixels: Uint8Array, together: bool
) -> float:
    """How far the wrapped graph is from the original's probabilities.

    Raises:
        Refused: it does not run on these images, all `together` or one by one.
    """
    groups = [pixels] if together else np.split(pixels, len(pixels))
    found = [wrapped.run([PROBABILITIES], **{INPUT: group})[0] for group in groups]
    rows = np.concatenate(found)
    return float(abs(rows - expected).max()) if rows.shape == expected.shape else float("inf")


def sizes_that_run(wrapped: Runner, trained: int, outputs: tuple[int, int]) -> list[int]:
    """The sizes around the trained one, in steps of 32, at which the graph runs.

    `outputs` are the numbers of classes and of features, which have to stay.
    """
    if trained not in RESOLUTIONS:
        return [trained]
    at = RESOLUTIONS.index(trained)
    runs = partial(_runs, wrapped, outputs)
    below = takewhile(runs, reversed(RESOLUTIONS[:at]))
    above = takewhile(runs, RESOLUTIONS[at + 1 :])
    return sorted([*below, trained, *above])


def _runs(wrapped: Runner, outputs: tuple[int, int], size: int) -> bool:
    black = np.zeros((1, size, size, 3), np.uint8)
    try:
        made = wrapped.run([PROBABILITIES, EMBEDDING], **{INPUT: black})
    except Refused:
        return False
    return tuple(part.shape for part in made) == tuple((1, width) for width in outputs)
