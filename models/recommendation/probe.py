"""Probe of this device: times small networks with random weights, in about a second.

The networks are graphs of the family in both precisions, run with the service's runtime and
options. Each graph is timed at several resolutions.
"""

import io
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from PIL import Image

from app.card.card import Family, Precision
from app.images.decode import load_image
from app.images.limits import ImageLimits
from app.inference.measurer import PREPROCESSING
from app.model import runtime
from models.checkpoints.checkpoint import Affine, Quantization, QuantizedLayer
from models.export.export import kernel_shapes, untrained
from models.export.graph import FloatWriter, QuantizedWriter, build_graph
from models.network.cost import network_cost
from models.network.design import define
from models.network.network import INPUT, Network
from models.recommendation.latency import LatencyModel, TimedNetwork, fit
from models.zoo.zoo import formats

# Narrow and wide ones of both families, to separate arithmetic, memory and overhead.
NETWORKS: tuple[tuple[Family, float, tuple[int, ...]], ...] = (
    ("mobilenet_v1", 0.25, (96, 160, 224)),
    ("mobilenet_v1", 0.5, (96, 160)),
    ("mobilenet_v1", 1.0, (96, 160)),
    ("mobilenet_v2", 0.35, (96, 160, 224)),
    ("mobilenet_v2", 0.75, (96, 160)),
)
RUNS = 8
PHOTO_SIZE = (1280, 720)
DECODES = 5


@dataclass(frozen=True, slots=True)
class Probe:
    models: dict[Precision, LatencyModel]
    decode_ms: float  # of a JPEG of 1280 x 720, for 224
    took_s: float


def probe(on_step: Callable[[str], None] = lambda _: None) -> Probe:
    """Time the networks and one photo; call `on_step` with the name of each step."""
    began = time.perf_counter()
    found: dict[Precision, LatencyModel] = {}
    for precision in ("fp32", "int8"):
        timed: list[TimedNetwork] = []
        for family, alpha, sides in NETWORKS:
            on_step(f"{family} {alpha} {precision}")
            timed += time_network(family, alpha, sides, precision)
        found[precision] = fit(timed, precision)
    on_step("decoding")
    return Probe(found, time_decoding(), time.perf_counter() - began)


def time_network(
    family: Family, alpha: float, sides: tuple[int, ...], precision: Precision
) -> Iterator[TimedNetwork]:
    session = network_session(define(family, alpha, sides[0]), precision)
    for side in sides:
        cost = network_cost(define(family, alpha, side), precision)
        image = np.random.default_rng(0).integers(0, 256, (1, side, side, 3), dtype=np.uint8)
        run = partial(session.run, ["probabilities"], {INPUT: image})
        run()  # warms up
        yield TimedNetwork(cost.layers, fastest_ms(run, RUNS))


def time_decoding() -> float:
    """Milliseconds to decode a JPEG with the detail of a photo for a model at 224."""
    coarse = Image.fromarray(np.random.default_rng(0).integers(0, 256, (90, 160, 3), np.uint8))
    file = io.BytesIO()
    coarse.resize(PHOTO_SIZE, Image.Resampling.BICUBIC).save(file, "JPEG", quality=85)
    decode = partial(load_image, file.getvalue(), 224, PREPROCESSING, ImageLimits())
    return fastest_ms(decode, DECODES)


def fastest_ms(run: Callable[[], object], runs: int) -> float:
    """CPU time of the fastest of several runs.

    Inference and decoding run on the calling thread, so its CPU time excludes other load on the
    machine, which the wall clock would include.
    """
    took_s = []
    for _ in range(runs):
        began = time.thread_time()
        run()
        took_s.append(time.thread_time() - began)
    return min(took_s) * 1000


def network_session(network: Network, precision: Precision) -> Any:
    """A session of a network with random weights, for any resolution."""
    if precision == "fp32":
        scaling = formats()["torchvision"].scaling
        model = build_graph(network, FloatWriter(untrained(network), scaling), False)
    else:
        model = build_graph(network, QuantizedWriter(_random_integers(network)), False)
    return runtime.new_session(model.SerializeToString())


def _random_integers(network: Network) -> Quantization:
    """Integer weights with scales that avoid saturation, in the form of the zoo's models."""
    random = np.random.default_rng(0)
    layers = {
        name: QuantizedLayer(
            kernel=random.integers(-127, 128, shape, dtype=np.int8),
            scales=np.full(shape[0], 1 / (64 * np.sqrt(np.prod(shape[1:]))), np.float32),
            zero_points=np.zeros(shape[0], np.int8),
            bias=np.zeros(shape[0], np.int32),
        )
        for name, shape in kernel_shapes(network).items()
    }
    names = [INPUT, *(node.name for node in network.nodes)]
    return Quantization(layers, dict.fromkeys(names, Affine(6 / 255, 0)))
