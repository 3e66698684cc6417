"""Let Keras save a small model of every kind of layer, and record what it answers.

    python -m venv /tmp/tf && /tmp/tf/bin/pip install tensorflow-cpu==2.21.0
    /tmp/tf/bin/python -m tests.models.translation.keras.record_models

The files in `recorded/` are what Keras 3.15 saved; the answers are those to `PIXELS`.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

FOLDER = Path(__file__).with_name("recorded")
ANSWERS = FOLDER / "answers.npz"
ALSO_H5 = {
    "adapted",
    "arithmetic",
    "branches",
    "flipped",
    "leaks",
    "norm",
    "numbers_first",
    "acts",
    "slopes",
    "separable",
    "strided",
    "teachable",
}
SIDE = 9
PIXELS = np.random.default_rng(6).integers(0, 256, (2, SIDE, SIDE, 3)).astype(np.uint8)


def models() -> dict[str, Callable[[], Any]]:
    """What makes each model, by its name."""
    import keras

    layers, shape = keras.layers, (SIDE, SIDE, 3)

    def line(*steps: Any) -> Callable[[], Any]:
        return lambda: keras.Sequential([keras.Input(shape), *steps])

    def branches() -> Any:
        image = keras.Input(shape)
        left = layers.Conv2D(4, 3, padding="same", activation="relu")(image)
        right = layers.DepthwiseConv2D(3, padding="same", depth_multiplier=2)(image)
        right = layers.Conv2D(4, 1)(right)
        both = layers.Concatenate()([layers.Add()([left, right]), layers.Multiply()([left, right])])
        pooled = [layers.GlobalAveragePooling2D()(both), layers.GlobalMaxPooling2D()(both)]
        return keras.Model(
            image, layers.Dense(3, activation="softmax")(layers.Concatenate()(pooled))
        )

    def merged() -> Any:
        image = keras.Input(shape)
        parts = [layers.Conv2D(3, 3)(image) for _ in range(3)]
        made = [layers.Average()(parts), layers.Maximum()(parts), layers.Minimum()(parts[:2])]
        return keras.Model(image, layers.Flatten()(layers.Concatenate()(made)))

    def arithmetic() -> Any:
        image = keras.Input(shape)
        scaled = (image / 127.5 - 1.0) * 2.0 + 0.5
        return keras.Model(image, layers.Flatten()(layers.Conv2D(2, 3)(scaled)))

    def numbers_first() -> Any:
        image = keras.Input(shape)
        turned = 300.0 / (2.0 - (3.0 + image * 0.01))
        return keras.Model(image, layers.Flatten()(layers.Conv2D(2, 3)(turned)))

    def base() -> Any:
        image = keras.Input(shape)
        made = layers.Conv2D(4, 3, 2, use_bias=False)(layers.ZeroPadding2D(((0, 1), (0, 1)))(image))
        made = layers.ReLU(6.0)(layers.BatchNormalization()(made))
        return keras.Model(image, made)

    def teachable() -> Any:
        inner = keras.Sequential([base(), layers.GlobalAveragePooling2D()])
        head = keras.Sequential(
            [layers.Dense(8, activation="relu"), layers.Dense(3, "softmax", use_bias=False)]
        )
        model = keras.Sequential([inner, head])
        model.build((None, *shape))
        return model

    def called_twice() -> Any:
        shared = layers.Conv2D(3, 3, padding="same")
        image = keras.Input(shape)
        return keras.Model(image, layers.Flatten()(shared(shared(image))))

    pooled = layers.GlobalAveragePooling2D
    return {
        "strided": line(layers.Conv2D(4, 3, 2, "same"), layers.Conv2D(2, 2, 2), layers.Flatten()),
        "dilated": line(layers.Conv2D(4, 3, dilation_rate=2), pooled()),
        "grouped": line(layers.Conv2D(6, 3, groups=3), pooled()),
        "separable": line(layers.SeparableConv2D(4, 3, 2, "same", activation="relu6"), pooled()),
        "norm": line(
            layers.BatchNormalization(epsilon=0.01),
            layers.Conv2D(4, 1),
            layers.BatchNormalization(center=False),
            layers.BatchNormalization(scale=False),
            pooled(),
            layers.BatchNormalization(),
            layers.Dense(2, "sigmoid"),
        ),
        "activations": line(
            layers.Conv2D(4, 3), layers.ReLU(3.0), layers.Conv2D(4, 3), layers.Activation("tanh"),
            layers.Conv2D(4, 3), layers.ReLU(), pooled(keepdims=True), layers.Flatten(),
            layers.Softmax(),
        ),
        "leaks": line(
            pooled(), layers.Dense(8, "elu"), layers.LeakyReLU(0.1), layers.Dense(8, "leaky_relu"),
            layers.Dense(8, "swish"), layers.ELU(), layers.Dense(8), layers.LeakyReLU(),
            layers.Dense(3),
        ),
        "pools": line(
            layers.MaxPooling2D(2, 1, "same"), layers.AveragePooling2D(3, 2, "same"),
            layers.AveragePooling2D((5, 5)), layers.Reshape((3,)),
        ),
        "padded": line(
            layers.ZeroPadding2D(((2, 1), (0, 3))), layers.Conv2D(3, 3), layers.Flatten()
        ),
        "rescaled": line(layers.Rescaling(1 / 127.5, -1), layers.Dropout(0.5), pooled()),
        "flipped": line(
            layers.RandomFlip(), layers.RandomRotation(0.2), layers.Conv2D(2, 3), pooled()
        ),
        "normalised": line(layers.Normalization(mean=(1, 2, 3), variance=(4, 5, 6)), pooled()),
        "deep_head": line(
            pooled(), layers.Dense(8, "relu"), layers.Dropout(0.3), layers.Dense(8, "relu"),
            layers.Dense(3),
        ),
        "one_sigmoid": line(layers.Conv2D(4, 3), pooled(), layers.Dense(1, "sigmoid")),
        "acts": line(
            pooled(), layers.Dense(8, "gelu"), layers.Dense(8, "selu"), layers.Dense(8, "softplus"),
            layers.Dense(8, "softsign"), layers.ReLU(negative_slope=0.2), layers.Dense(8),
            layers.Activation("exponential"), layers.LayerNormalization(), layers.PReLU(),
            layers.Dense(4), layers.UnitNormalization(),
        ),
        "slopes": line(
            layers.Conv2D(4, 3), layers.PReLU(shared_axes=[1, 2]), layers.PReLU(), pooled()
        ),
        "resized": line(
            layers.Resizing(12, 12), layers.Conv2D(4, 3), layers.Resizing(5, 5, "nearest"),
            layers.Flatten(),
        ),
        "cut": line(layers.CenterCrop(6, 6), layers.Cropping2D(((1, 0), (0, 2))), layers.Flatten()),
        "places": line(
            layers.Conv2D(4, 3, 3), layers.Dense(5, "relu"), layers.Reshape((-1, 5)),
            layers.Dense(3), layers.Flatten(), layers.Dense(2, "softmax"),
        ),
        "permuted": line(layers.Permute((2, 1, 3)), layers.Conv2D(2, (3, 2)), layers.Flatten()),
        "merged": merged,
        "branches": branches,
        "adapted": line(layers.Normalization(), pooled()),
        "arithmetic": arithmetic,
        "numbers_first": numbers_first,
        "teachable": teachable,
        "called_twice": called_twice,
    }  # fmt: skip


def main() -> None:
    import keras

    FOLDER.mkdir(exist_ok=True)
    answers = {}
    for name, make in models().items():
        keras.utils.clear_session()
        model = make()
        random = np.random.default_rng(2)
        for weight in model.weights:
            if "seed" in weight.path or "count" in weight.path:
                continue
            lowest = 0.5 if "variance" in weight.path else -0.5
            weight.assign(random.uniform(lowest, lowest + 1, weight.shape).astype(np.float32))
        for layer in model.layers:
            if isinstance(layer, keras.layers.Normalization):
                layer.finalize_state()
        model.save(FOLDER / f"{name}.keras")
        if name in ALSO_H5:
            model.save(FOLDER / f"{name}.h5")
        answers[name] = np.asarray(model(PIXELS.astype(np.float32), training=False))
    np.savez_compressed(ANSWERS, **answers)  # type: ignore[arg-type]  # NumPy's stub for **kwds


if __name__ == "__main__":
    main()
