"""Each layer of Keras as operators of a graph."""

from models.checkpoints.checkpoint import CheckpointError
from models.translation.keras.activations import activation, elu, leaky_relu, prelu, relu, softmax
from models.translation.keras.call import Call, Layer
from models.translation.keras.convolutions import convolution, dense, depthwise, separable
from models.translation.keras.elementwise import arithmetic, average, merge
from models.translation.keras.normalizations import (
    batch_norm,
    layer_norm,
    normalization,
    rescaling,
    unit_length,
)
from models.translation.keras.pooling import global_pool, pool
from models.translation.keras.records import Records
from models.translation.keras.shapes import (
    center_crop,
    concatenate,
    cropping,
    flatten,
    padding,
    permute,
    reshape,
    resizing,
)

INERT = {
    "InputLayer", "Dropout", "SpatialDropout2D", "GaussianNoise", "GaussianDropout",
    "AlphaDropout", "ActivityRegularization",
}  # fmt: skip


def is_inert(kind: str) -> bool:
    """Whether a layer does nothing but in training, as those of augmentation.

    Of these, RandomCrop resizes or cuts whatever it is given.
    """
    return kind in INERT or (kind.startswith("Random") and kind != "RandomCrop")


def write(records: Records, call: Call) -> int:
    """Add the operators of a layer; return its result.

    Raises:
        CheckpointError: the layer, or a way of using it, is not known.
    """
    if call.config.get("data_format", "channels_last") not in ("channels_last", None):
        raise CheckpointError(f"{call.name} has its channels first")
    if is_inert(call.kind):
        return call.inputs[0]
    if call.kind == "Lambda":
        raise CheckpointError(
            f"its Lambda {call.name!r} is a function of the program that trained it, which no file "
            "keeps in a form to be read; import a .tflite or .onnx of the model instead"
        )
    if call.kind not in LAYERS:
        raise CheckpointError(f"its {call.kind} {call.name!r} is not known here")
    return LAYERS[call.kind](records, call)


LAYERS: dict[str, Layer] = {
    "Conv2D": convolution,
    "DepthwiseConv2D": depthwise,
    "SeparableConv2D": separable,
    "BatchNormalization": batch_norm,
    "Rescaling": rescaling,
    "Normalization": normalization,
    "ReLU": relu,
    "LeakyReLU": leaky_relu,
    "ELU": elu,
    "PReLU": prelu,
    "LayerNormalization": layer_norm,
    "UnitNormalization": unit_length,
    "Resizing": resizing,
    "CenterCrop": center_crop,
    "Cropping2D": cropping,
    "Permute": permute,
    "Average": average,
    "Maximum": merge("MAXIMUM"),
    "Minimum": merge("MINIMUM"),
    "ZeroPadding2D": padding,
    "Concatenate": concatenate,
    "GlobalAveragePooling2D": global_pool("MEAN"),
    "GlobalMaxPooling2D": global_pool("REDUCE_MAX"),
    "AveragePooling2D": pool("AVERAGE_POOL_2D"),
    "MaxPooling2D": pool("MAX_POOL_2D"),
    "Flatten": flatten,
    "Reshape": reshape,
    "Dense": dense,
    "Activation": activation,
    "Softmax": softmax,
    "Add": lambda records, call: (merge("ADD") if len(call.inputs) > 1 else arithmetic("ADD"))(
        records, call
    ),
    "Multiply": lambda records, call: (merge("MUL") if len(call.inputs) > 1 else arithmetic("MUL"))(
        records, call
    ),
    "Subtract": arithmetic("SUB"),
    "TrueDivide": arithmetic("DIV"),
    "Divide": arithmetic("DIV"),
}
