"""Layer algebra: what each kind of layer does to a shape, and what that costs for one image.

A shape is (channels, height, width). Counting follows both MobileNet papers: a multiply-add
(MAdd) is one use of one weight in a convolution or a linear layer. Biases, batch norm,
activations, pooling, concatenation and residual adds count no MAdds.
"""

from dataclasses import dataclass, field
from math import ceil, prod
from typing import Literal, Protocol

Shape = tuple[int, int, int]
Nonlinearity = Literal["relu", "relu6"]

# How a window meets the border.
#   same       TensorFlow: output ceil(in / stride); an odd rest of the padding goes after
#   symmetric  PyTorch: (kernel - 1) // 2 zeros on both sides
#   valid      none
Padding = Literal["same", "symmetric", "valid"]


class LayerError(ValueError):
    """A layer cannot take the shape that it is given."""


@dataclass(frozen=True, slots=True)
class Parameters:
    """Trainable values of a layer; `batch_norm` is scale and shift, two a channel."""

    weights: int = 0
    biases: int = 0
    batch_norm: int = 0


class Layer(Protocol):
    """What a network is made of."""

    @property
    def kind(self) -> str: ...

    @property
    def kernel(self) -> tuple[int, int]: ...

    @property
    def stride(self) -> int: ...

    @property
    def groups(self) -> int: ...

    def output_shape(self, *inputs: Shape) -> Shape: ...

    def parameters(self, *inputs: Shape) -> Parameters: ...

    def madds(self, *inputs: Shape) -> int: ...


def pads(size: int, kernel: int, stride: int, padding: Padding) -> tuple[int, int]:
    """Zeros before and after one axis of `size` pixels (slim, Keras and HF for `same`)."""
    if padding == "valid":
        return 0, 0
    if padding == "symmetric":
        return (kernel - 1) // 2, (kernel - 1) // 2
    total = max((ceil(size / stride) - 1) * stride + kernel - size, 0)
    return total // 2, total - total // 2


def windows(size: int, kernel: int, stride: int, padding: Padding) -> int:
    """Number of window positions along one axis.

    Raises:
        LayerError: the padded axis is smaller than the window.
    """
    padded = size + sum(pads(size, kernel, stride, padding))
    if padded < kernel:
        raise LayerError(f"a window of {kernel} does not fit an axis of {size} ({padding})")
    return (padded - kernel) // stride + 1


class _Pointwise:
    """Defaults of a layer that looks at one position at a time."""

    @property
    def kernel(self) -> tuple[int, int]:
        return 1, 1

    @property
    def stride(self) -> int:
        return 1

    @property
    def groups(self) -> int:
        return 1


class _Free(_Pointwise):
    """A layer without parameters and without multiply-adds."""

    def parameters(self, *inputs: Shape) -> Parameters:
        return Parameters()

    def madds(self, *inputs: Shape) -> int:
        return 0


@dataclass(frozen=True, slots=True)
class Conv:
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
                f"{channels} to {self.out_channels} channels do not split into {self.groups} groups"
            )
        return (
            self.out_channels,
            windows(height, self.kernel[0], self.stride, self.padding),
            windows(width, self.kernel[1], self.stride, self.padding),
        )

    def parameters(self, *inputs: Shape) -> Parameters:
        [(channels, _, _)] = inputs
        return Parameters(
            weights=self.out_channels * (channels // self.groups) * prod(self.kernel),
            biases=self.out_channels if self.bias else 0,
            batch_norm=2 * self.out_channels if self.batch_norm else 0,
        )

    def madds(self, *inputs: Shape) -> int:
        _, height, width = self.output_shape(*inputs)
        return self.parameters(*inputs).weights * height * width


@dataclass(frozen=True, slots=True)
class Linear(_Pointwise):
    """A fully connected layer over everything that comes in."""

    out_features: int
    bias: bool = True
    kind: str = field(default="linear", init=False)

    def output_shape(self, *inputs: Shape) -> Shape:
        return self.out_features, 1, 1

    def parameters(self, *inputs: Shape) -> Parameters:
        [shape] = inputs
        return Parameters(prod(shape) * self.out_features, self.out_features if self.bias else 0)

    def madds(self, *inputs: Shape) -> int:
        return self.parameters(*inputs).weights


@dataclass(frozen=True, slots=True)
class Pool(_Free):
    """Average or max pooling over a window."""

    reduce: Literal["avg", "max"]
    kernel: tuple[int, int]
    stride: int
    padding: Padding = "valid"

    @property
    def kind(self) -> str:
        return f"{self.reduce}_pool"

    def output_shape(self, *inputs: Shape) -> Shape:
        [(channels, height, width)] = inputs
        return (
            channels,
            windows(height, self.kernel[0], self.stride, self.padding),
            windows(width, self.kernel[1], self.stride, self.padding),
        )


@dataclass(frozen=True, slots=True)
class LocalResponseNorm(_Free):
    """Values weighed against those of neighbouring channels (AlexNet paper, section 3.3)."""

    kind: str = field(default="local_response_norm", init=False)

    def output_shape(self, *inputs: Shape) -> Shape:
        [shape] = inputs
        return shape


@dataclass(frozen=True, slots=True)
class GlobalPool(_Free):
    """The mean over the whole feature map, whatever its size."""

    kind: str = field(default="global_pool", init=False)

    def output_shape(self, *inputs: Shape) -> Shape:
        [(channels, _, _)] = inputs
        return channels, 1, 1


@dataclass(frozen=True, slots=True)
class Add(_Free):
    """The residual sum of two equal shapes."""

    kind: str = field(default="add", init=False)

    def output_shape(self, *inputs: Shape) -> Shape:
        if len(set(inputs)) != 1:
            raise LayerError(f"cannot add shapes that differ: {inputs}")
        return inputs[0]


@dataclass(frozen=True, slots=True)
class Concat(_Free):
    """Feature maps of one size, side by side."""

    kind: str = field(default="concat", init=False)

    def output_shape(self, *inputs: Shape) -> Shape:
        if len({shape[1:] for shape in inputs}) != 1:
            raise LayerError(f"cannot put together maps of different size: {inputs}")
        return sum(channels for channels, _, _ in inputs), *inputs[0][1:]


@dataclass(frozen=True, slots=True)
class Activation(_Free):
    """An element-wise nonlinearity on its own."""

    nonlinearity: Nonlinearity
    kind: str = field(default="activation", init=False)

    def output_shape(self, *inputs: Shape) -> Shape:
        [shape] = inputs
        return shape
