"""Layer algebra: the output shape, parameters and multiply-adds of each kind of layer.

A shape is (channels, height, width). Counting follows both MobileNet papers: a multiply-add
(MAdd) is one use of one weight in a convolution or a linear layer. Biases, batch norm,
activations, pooling, concatenation and residual adds count no MAdds.
"""

from dataclasses import dataclass
from math import ceil, prod
from typing import ClassVar, Literal

Shape = tuple[int, int, int]
Nonlinearity = Literal["relu", "relu6"]

# How a feature map is padded.
#   same       TensorFlow: output ceil(in / stride); an odd pixel of padding goes after
#   symmetric  PyTorch: (kernel - 1) // 2 zeros on both sides
#   valid      none
Padding = Literal["same", "symmetric", "valid"]


class LayerError(ValueError):
    """A layer does not support the shape of its input."""


@dataclass(frozen=True, slots=True)
class Parameters:
    """Trainable values of a layer; `batch_norm` counts scale and shift, two per channel."""

    weights: int = 0
    biases: int = 0
    batch_norm: int = 0


def pads(size: int, kernel: int, stride: int, padding: Padding) -> tuple[int, int]:
    """Zeros before and after an axis of `size` pixels; `same` as in slim, Keras and HF."""
    if padding == "valid":
        return 0, 0
    if padding == "symmetric":
        return (kernel - 1) // 2, (kernel - 1) // 2
    total = max((ceil(size / stride) - 1) * stride + kernel - size, 0)
    return total // 2, total - total // 2


def output_size(size: int, kernel: int, stride: int, padding: Padding) -> int:
    """Number of kernel positions along one axis.

    Raises:
        LayerError: the padded axis is smaller than the kernel.
    """
    padded = size + sum(pads(size, kernel, stride, padding))
    if padded < kernel:
        raise LayerError(f"A kernel of {kernel} does not fit an axis of {size} pixels ({padding}).")
    return (padded - kernel) // stride + 1


def _output_sizes(layer: "Conv | Pool", height: int, width: int) -> tuple[int, int]:
    return (
        output_size(height, layer.kernel[0], layer.stride, layer.padding),
        output_size(width, layer.kernel[1], layer.stride, layer.padding),
    )


class _Layer:
    """A layer; by default without weights, and of the same shape as its only input."""

    def output_shape(self, *inputs: Shape) -> Shape:
        [shape] = inputs
        return shape

    def parameters(self, *inputs: Shape) -> Parameters:
        return Parameters()

    def madds(self, *inputs: Shape) -> int:
        _, height, width = self.output_shape(*inputs)
        return self.parameters(*inputs).weights * height * width


class _UnitKernel(_Layer):
    kernel: ClassVar[tuple[int, int]] = (1, 1)
    stride: ClassVar[int] = 1
    groups: ClassVar[int] = 1


@dataclass(frozen=True, slots=True)
class Conv(_Layer):
    """A convolution with the batch norm and the activation that follow it.

    `groups` equal to the input channels is a depthwise convolution (V1 paper, section 3.1).
    """

    out_channels: int
    kernel: tuple[int, int] = (1, 1)
    stride: int = 1
    groups: int = 1
    padding: Padding = "same"
    bias: bool = False
    batch_norm: bool = True
    activation: Nonlinearity | None = "relu6"

    @property
    def kind(self) -> str:
        if self.groups > 1 and self.groups == self.out_channels:
            return "depthwise"
        return "pointwise" if self.kernel == (1, 1) else "conv"

    def output_shape(self, *inputs: Shape) -> Shape:
        [(channels, height, width)] = inputs
        if channels % self.groups or self.out_channels % self.groups:
            raise LayerError(
                f"{channels} input and {self.out_channels} output channels "
                f"do not divide into {self.groups} groups."
            )
        return self.out_channels, *_output_sizes(self, height, width)

    def parameters(self, *inputs: Shape) -> Parameters:
        [(channels, _, _)] = inputs
        return Parameters(
            weights=self.out_channels * (channels // self.groups) * prod(self.kernel),
            biases=self.out_channels if self.bias else 0,
            batch_norm=2 * self.out_channels if self.batch_norm else 0,
        )


@dataclass(frozen=True, slots=True)
class Linear(_UnitKernel):
    """A fully connected layer over the flattened input."""

    out_features: int
    bias: bool = True
    kind: ClassVar[str] = "linear"

    def output_shape(self, *inputs: Shape) -> Shape:
        return self.out_features, 1, 1

    def parameters(self, *inputs: Shape) -> Parameters:
        [shape] = inputs
        return Parameters(prod(shape) * self.out_features, self.out_features if self.bias else 0)


@dataclass(frozen=True, slots=True)
class Pool(_Layer):
    reduce: Literal["avg", "max"]
    kernel: tuple[int, int]
    stride: int
    padding: Padding = "valid"
    groups: ClassVar[int] = 1

    @property
    def kind(self) -> str:
        return f"{self.reduce}_pool"

    def output_shape(self, *inputs: Shape) -> Shape:
        [(channels, height, width)] = inputs
        return channels, *_output_sizes(self, height, width)


@dataclass(frozen=True, slots=True)
class LocalResponseNorm(_UnitKernel):
    """Normalisation across neighbouring channels (AlexNet paper, section 3.3)."""

    kind: ClassVar[str] = "local_response_norm"


@dataclass(frozen=True, slots=True)
class GlobalPool(_UnitKernel):
    """The mean over the whole feature map."""

    kind: ClassVar[str] = "global_pool"

    def output_shape(self, *inputs: Shape) -> Shape:
        [(channels, _, _)] = inputs
        return channels, 1, 1


@dataclass(frozen=True, slots=True)
class Add(_UnitKernel):
    """The residual sum of two equal shapes."""

    kind: ClassVar[str] = "add"

    def output_shape(self, *inputs: Shape) -> Shape:
        if len(set(inputs)) != 1:
            raise LayerError(f"Cannot add different shapes: {inputs}.")
        return inputs[0]


@dataclass(frozen=True, slots=True)
class Concat(_UnitKernel):
    """Concatenation of the channels of feature maps of one size."""

    kind: ClassVar[str] = "concat"

    def output_shape(self, *inputs: Shape) -> Shape:
        if len({shape[1:] for shape in inputs}) != 1:
            raise LayerError(f"Cannot concatenate feature maps of different sizes: {inputs}.")
        return sum(channels for channels, _, _ in inputs), *inputs[0][1:]


@dataclass(frozen=True, slots=True)
class Activation(_UnitKernel):
    nonlinearity: Nonlinearity
    kind: ClassVar[str] = "activation"


Layer = Conv | Linear | Pool | LocalResponseNorm | GlobalPool | Add | Concat | Activation
