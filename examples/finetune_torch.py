"""Fine-tune the last blocks of the default model with PyTorch, on a folder per class.

    pip install torch
    mobilenet-gateway models pull mobilenet_v2_1.0_224
    python examples/finetune_torch.py photos/ --output waste.pth
    mobilenet-gateway models import waste.pth --like torchvision --resolution 224 --labels waste.txt

A linear classifier is fitted to the embeddings first, as `teach` does; then the last blocks learn,
with the batch norm frozen, for as long as held-out photos improve. Near-duplicates are held out
together. At the end all photos are taught for that long. The blocks before are computed once.
"""

import argparse
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch.nn import functional

from app.arrays import IntArray, Uint8Array
from app.card.card import Preprocessing
from app.errors import RequestError
from app.images import pillow_settings
from app.model.model import Model, load_model
from app.settings_sources import load_settings
from app.teaching.classifier import Lessons, fit_all
from app.teaching.confidence import best_temperature
from app.teaching.folds import assign_folds
from app.teaching.lesson import UNTESTED_STRENGTH
from app.teaching.near_duplicates import group_near_duplicates, unit
from app.teaching.photos import PhotoReader, labelled_photos

Tensor = Any  # torch.Tensor, whose types need torch installed
Weights = dict[str, Tensor]  # torchvision's state dict
PARTS = 19  # features.0 to features.18: stem, 17 blocks, last convolution
CLASSIFIER = ("classifier.1.weight", "classifier.1.bias")
STRIDE_2 = (0, 2, 4, 7, 14)
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
WHOLE = Preprocessing(resize="shortest_edge", crop_fraction=1, interpolation="bilinear")
WEIGHTS = Path("models/weights/mobilenet_v2-b0353104.pth")
SERVED = Path("models/store/mobilenet_v2_1.0_224.onnx")
BATCH = 32
DROPOUT = 0.2
AVERAGED = 3  # epochs that the mean of the weights is over
PATIENCE = 5  # epochs without improvement
TOLERANCE = 1e-4  # between the probabilities of the served model and of this one
HOLD_OUT = 5  # one photo in so many


class Photos(NamedTuple):
    """Photos as the model sees them, [N, 224, 224, 3], and larger for other crops, by class."""

    own: Uint8Array
    larger: Uint8Array
    targets: IntArray
    labels: list[str]


class Best(NamedTuple):
    """The epoch after which held-out photos had the lowest cross-entropy."""

    epochs: int
    loss: float
    logits: Tensor  # of the held-out photos


def layer(images: Tensor, weights: Weights, conv: str, norm: str, stride: int = 1) -> Tensor:
    """A convolution with its batch norm, which keeps its mean and variance."""
    kernel = weights[f"{conv}.weight"]
    groups = kernel.shape[0] if kernel.shape[1] == 1 else 1
    found = functional.conv2d(
        images, kernel, stride=stride, padding=kernel.shape[2] // 2, groups=groups
    )
    names = ("running_mean", "running_var", "weight", "bias")
    return functional.batch_norm(found, *(weights[f"{norm}.{name}"] for name in names))


def part(images: Tensor, weights: Weights, at: int) -> Tensor:
    """`features.<at>` of torchvision's MobileNetV2."""
    name, stride = f"features.{at}", 2 if at in STRIDE_2 else 1
    if at in (0, PARTS - 1):
        return functional.relu6(layer(images, weights, f"{name}.0", f"{name}.1", stride))
    found, depthwise = images, 0 if at == 1 else 1
    for index in range(depthwise + 1):
        prefix = f"{name}.conv.{index}"
        step = stride if index == depthwise else 1
        found = functional.relu6(layer(found, weights, f"{prefix}.0", f"{prefix}.1", step))
    end = depthwise + 1
    found = layer(found, weights, f"{name}.conv.{end}", f"{name}.conv.{end + 1}")
    return images + found if images.shape == found.shape else found


def run(images: Tensor, weights: Weights, begin: int = 0, end: int = PARTS) -> Tensor:
    for at in range(begin, end):
        images = part(images, weights, at)
    return images


def embed(images: Tensor, weights: Weights, begin: int = 0) -> Tensor:
    """The pooled features [N, 1280] of images, or of what the part before `begin` made of them."""
    return run(images, weights, begin).mean((2, 3))


def classify(embeddings: Tensor, weights: Weights) -> Tensor:
    return functional.linear(embeddings, *(weights[name] for name in CLASSIFIER))


def scaled(pixels: Uint8Array) -> Tensor:
    """Images [N, 224, 224, 3] as the network takes them."""
    images = torch.from_numpy(np.ascontiguousarray(pixels)).permute(0, 3, 1, 2) / 255
    return (images - torch.tensor(MEAN)[:, None, None]) / torch.tensor(STD)[:, None, None]


def read(folder: Path, model: Model) -> Photos:
    found, settings = [], load_settings({})
    with PhotoReader.open(settings) as reader:
        for photo in labelled_photos(folder):
            data = photo.path.read_bytes()
            try:
                own = reader.decode(data, model.card.resolution, model.card.preprocessing)
                larger = reader.decode(data, round(model.card.resolution * 1.4), WHOLE)
            except RequestError as error:
                print(f"skipped {photo.path}: {error.detail}")
                continue
            found.append((own, larger, photo.label))
    labels = sorted({label for _, _, label in found})
    targets = np.array([labels.index(label) for _, _, label in found], np.intp)
    own, larger = (np.stack([one[at] for one in found]) for at in (0, 1))
    return Photos(own, larger, targets, labels)


def check(weights: Weights, model: Model, images: Uint8Array) -> None:
    """Prove that these weights and this network answer as the served model."""
    mine = torch.softmax(classify(embed(scaled(images), weights), weights), 1).numpy()
    served = np.concatenate([model.probabilities(image[None]) for image in images])
    difference = float(np.abs(mine - served).max())
    print(f"before training: probabilities differ from {model.name} by at most {difference:.1e}")
    if difference > TOLERANCE:
        raise SystemExit(f"{model.name} has other weights or another preprocessing.")


def view(larger: Uint8Array, side: int, random: np.random.Generator) -> Tensor:
    """A square of 60 to 100 % of a photo, mirrored or not, lighter or darker."""
    size = int(len(larger) * random.uniform(0.6, 1))
    top, left = random.integers(0, len(larger) - size + 1, 2)
    square = scaled(larger[None, top : top + size, left : left + size])
    square = functional.interpolate(square, (side, side), mode="bilinear", antialias=True)
    square = square * random.uniform(0.8, 1.2) + random.uniform(-0.2, 0.2)
    return square.flip(3) if random.random() < 0.5 else square


def trunk(photos: Photos, weights: Weights, end: int, views: int, seed: int) -> Tensor:
    """What the frozen parts make of each photo and of `views` views, [N, 1 + views, C, H, W]."""
    random, rows = np.random.default_rng(seed), []
    for own, larger in zip(photos.own, photos.larger, strict=True):
        others = [view(larger, len(own), random) for _ in range(views)]
        rows.append(run(torch.cat([scaled(own[None]), *others]), weights, 0, end))
    return torch.stack(rows)


def with_linear_classifier(
    features: Tensor, targets: IntArray, weights: Weights, begin: int
) -> Weights:
    """The weights with the classifier that `teach` would fit, and their last parts free to learn.

    Its embeddings have length 1; these have not, so they are divided by their mean length.
    """
    with torch.no_grad():
        found = torch.stack([embed(row, weights, begin) for row in features]).numpy()
    length = np.linalg.norm(found[:, 0], axis=1).mean()
    lessons = Lessons.of(found / length, targets, int(targets.max()) + 1)
    fitted = fit_all(lessons, UNTESTED_STRENGTH)
    classifier = (fitted.weights / length, fitted.bias)
    tensors = (torch.tensor(values, dtype=torch.float32) for values in classifier)
    taught = weights | dict(zip(CLASSIFIER, tensors, strict=True))
    return {
        name: tensor.clone().requires_grad_() if learns(name, tensor, begin) else tensor
        for name, tensor in taught.items()
    }


def learns(name: str, tensor: Tensor, begin: int) -> bool:
    """Whether a tensor is a kernel of the last parts, or of the classifier."""
    return name in CLASSIFIER or (tensor.ndim == 4 and int(name.split(".")[1]) >= begin)


def epochs(
    features: Tensor, targets: IntArray, weights: Weights, begin: int, rate: float
) -> Iterator[Weights]:
    """Teach all photos in each epoch, one view of each; classes count the same.

    Yields the mean of the weights over the last epochs: single ones swing with each batch.
    """
    taught = {name: tensor for name, tensor in weights.items() if tensor.requires_grad}
    mean = {name: tensor.detach().clone() for name, tensor in taught.items()}
    optimizer = torch.optim.AdamW(taught.values(), lr=rate)
    wanted, counts = torch.from_numpy(targets), np.bincount(targets)
    balance = torch.tensor(len(targets) / len(counts) / counts, dtype=torch.float32)
    step = min(1, BATCH / len(targets) / AVERAGED)
    while True:
        for photos in torch.randperm(len(targets)).split(BATCH):
            views = torch.randint(features.shape[1], (len(photos),))
            embeddings = functional.dropout(embed(features[photos, views], weights, begin), DROPOUT)
            loss = functional.cross_entropy(classify(embeddings, weights), wanted[photos], balance)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            for name, tensor in taught.items():
                mean[name] += step * (tensor.detach() - mean[name])
        yield weights | mean


def best_epoch(
    features: Tensor, targets: IntArray, held_out: IntArray, weights: Weights, begin: int,
    options: argparse.Namespace,
) -> Best:  # fmt: skip
    """Teach all but the held-out photos until these have not improved for a while."""
    taught = np.setdiff1d(np.arange(len(targets)), held_out)
    fitted = with_linear_classifier(features[taught], targets[taught], weights, begin)
    training = epochs(features[taught], targets[taught], fitted, begin, options.rate)
    wanted, best, mean = torch.from_numpy(targets[held_out]), None, fitted
    for epoch in range(options.epochs + 1):
        with torch.no_grad():
            logits = classify(embed(features[held_out, 0], mean, begin), mean)
        loss = float(functional.cross_entropy(logits, wanted))
        right = float((logits.argmax(1) == wanted).float().mean())
        print(f"epoch {epoch}: loss {loss:.3f}, {right:.1%} of held-out photos right", flush=True)
        if best is None or loss < best.loss:
            best = Best(epoch, loss, logits)
        if epoch - best.epochs >= PATIENCE:
            break
        mean = next(training)
    assert best is not None  # noqa: S101  epoch 0 is one
    return best


def write(output: Path, weights: Weights, temperature: float, labels: list[str]) -> None:
    """Write the state dict, with probabilities as sure as they may be, and the names beside it."""
    calibrated = {name: weights[name] / temperature for name in CLASSIFIER}
    tensors = {name: tensor.detach() for name, tensor in (weights | calibrated).items()}
    torch.save(tensors, output)
    output.with_suffix(".txt").write_text("".join(f"{label}\n" for label in labels), "utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("photos", type=Path, help="a folder for each class")
    parser.add_argument("--output", type=Path, required=True, help="file to write, NAME.pth")
    parser.add_argument("--weights", type=Path, default=WEIGHTS, help="torchvision's state dict")
    parser.add_argument("--served", type=Path, default=SERVED, help="the same in the model store")
    parser.add_argument("--blocks", type=int, default=4, help="how many of the last parts learn")
    parser.add_argument("--views", type=int, default=8, help="augmented views of each photo")
    parser.add_argument("--rate", type=float, default=1e-4, help="learning rate of the blocks")
    parser.add_argument("--epochs", type=int, default=40, help="maximum")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    began, begin = time.perf_counter(), PARTS - options.blocks
    pillow_settings.configure()
    torch.manual_seed(options.seed)
    weights, model = torch.load(options.weights, weights_only=True), load_model(options.served)
    photos = read(options.photos, model)
    with torch.no_grad():
        check(weights, model, photos.own[:16])
        features = trunk(photos, weights, begin, options.views, options.seed)
        embeddings = embed(features[:, 0], weights, begin).numpy()
    print(f"{time.perf_counter() - began:.0f} s for the parts that do not learn")
    folds = assign_folds(photos.targets, group_near_duplicates(unit(embeddings)))
    held_out = np.flatnonzero(folds % HOLD_OUT == 0)
    if not folds.max():
        raise SystemExit("A class has photos of one scene only, so nothing can be held out.")
    best = best_epoch(features, photos.targets, held_out, weights, begin, options)
    final = with_linear_classifier(features, photos.targets, weights, begin)
    training = epochs(features, photos.targets, final, begin, options.rate)
    for mean in islice(training, best.epochs):
        final = mean
    logits = best.logits.numpy().astype(np.float64)
    temperature = best_temperature(logits, photos.targets[held_out])
    write(options.output, final, temperature, photos.labels)
    print(f"{options.output}: {best.epochs} epochs, {time.perf_counter() - began:.0f} s")


if __name__ == "__main__":
    main()
