"""Pickle, as far as `torch.save` uses it for tensors: an interpreter that can build nothing else.

A pickle is a program. Python's own unpickler runs all of it and can only be asked to refuse names;
this one knows the few instructions that torch writes (protocol 2) and gives plain data: strings,
numbers, tuples, lists, dicts with strings or whole numbers as keys, and `Tensor` records. No name
is ever imported, nothing in the file is ever called or given attributes, and memory grows with the
file only.
"""

import io
import pickletools
import re
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from models.checkpoints.checkpoint import CheckpointError

# MobileNetV2 1.0 takes 47 kB, of any width the same.
MAX_PICKLE_BYTES = 1 << 20

# torch's storage classes; what NumPy cannot hold (bfloat16, complex32, quantised) is not here
STORAGE_TYPES: dict[str, np.dtype[Any]] = {
    "torch DoubleStorage": np.dtype("<f8"),
    "torch FloatStorage": np.dtype("<f4"),
    "torch HalfStorage": np.dtype("<f2"),
    "torch LongStorage": np.dtype("<i8"),
    "torch IntStorage": np.dtype("<i4"),
    "torch ShortStorage": np.dtype("<i2"),
    "torch CharStorage": np.dtype("i1"),
    "torch ByteStorage": np.dtype("u1"),
    "torch BoolStorage": np.dtype("?"),
}
BFLOAT16 = "torch BFloat16Storage"
ORDERED_DICT = "collections OrderedDict"
REBUILD_TENSOR = "torch._utils _rebuild_tensor_v2"
REBUILD_PARAMETER = "torch._utils _rebuild_parameter"
# the command line that a training loop ran with; what it says is not read
NAMESPACE = "argparse Namespace"
# tensors and storages of torch.ao.quantization, and of torchao
QUANTIZED = re.compile(
    r"^torch(ao\b|\.ao\b|\._utils _rebuild_qtensor| Q\w+Storage| per_\w+_affine| qu?int\d)"
)
SAVE_WEIGHTS = (
    "load it where it was trained, with torch.load(file, weights_only=False), and from there "
    "either torch.save(model.state_dict(), 'weights.pth') or torch.onnx.export(model.eval(), ...)"
)
EXPORT_FLOATS = (
    "import the float weights from before the quantisation and use 'models quantize', or write the "
    "quantised model with torch.onnx.export(model, ...)"
)
CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False, "EMPTY_TUPLE": ()}
ALLOWED_NAMES = {ORDERED_DICT, REBUILD_TENSOR, REBUILD_PARAMETER, NAMESPACE, *STORAGE_TYPES}


class Name(NamedTuple):
    """An allowed name of the file, never more than its text: "module name"."""

    text: str


class Storage(NamedTuple):
    """A run of `elements` values of one type under `key`, elsewhere in the file."""

    key: str
    dtype: np.dtype[Any]
    elements: int


class Tensor(NamedTuple):
    """A view into a storage; offset and strides count elements."""

    storage: Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


class Mark:
    """Where a run of items starts on the stack."""


def unpickle(stream: io.BytesIO) -> object:
    """Read the pickle at the stream's position, and leave the stream right behind it.

    Raises:
        CheckpointError: not a pickle, or one with an instruction or a name that is not allowed.
    """
    machine = _Machine()
    for instruction, argument in _instructions(stream):
        try:
            machine.run(instruction, argument)
        except (IndexError, KeyError):
            raise CheckpointError(f"the pickle's {instruction} has nothing to work on") from None
    if len(machine.stack) != 1:
        raise CheckpointError(f"the pickle leaves {len(machine.stack)} objects, not one")
    return machine.stack[0]


def _instructions(stream: io.BytesIO) -> Iterator[tuple[str, Any]]:
    start = stream.tell()
    head = io.BytesIO(stream.read(MAX_PICKLE_BYTES))
    try:
        for opcode, argument, _ in pickletools.genops(head):
            yield opcode.name, argument
    except (ValueError, Warning) as error:
        # a warning, where it is an error, is about an odd escape in a text of protocol 0
        raise CheckpointError(f"not a pickle, or cut off ({error})") from error
    stream.seek(start + head.tell())


class _Machine:
    def __init__(self) -> None:
        self.stack: list[Any] = []
        self.memo: dict[int, Any] = {}

    def run(self, instruction: str, argument: Any) -> None:
        """Carry out one instruction (named as in the standard library's `pickletools`)."""
        stack = self.stack
        match instruction:
            case "PROTO" | "STOP":
                pass
            case "BININT" | "BININT1" | "BININT2" | "LONG1" | "BINFLOAT" | "BINUNICODE":
                stack.append(argument)
            case "NONE" | "NEWTRUE" | "NEWFALSE" | "EMPTY_TUPLE":
                stack.append(CONSTANTS[instruction])
            case "EMPTY_LIST":
                stack.append([])
            case "EMPTY_DICT":
                stack.append({})
            case "MARK":
                stack.append(Mark())
            case "TUPLE":
                stack.append(tuple(self.pop_to_mark()))
            case "TUPLE1" | "TUPLE2" | "TUPLE3":
                stack.append(tuple(self.pop(int(instruction[-1]))))
            case "APPEND":
                self.extend(self.pop(1))
            case "APPENDS":
                self.extend(self.pop_to_mark())
            case "SETITEM":
                self.update(self.pop(2))
            case "SETITEMS":
                self.update(self.pop_to_mark())
            case "BINPUT" | "LONG_BINPUT":
                self.memo[argument] = stack[-1]
            case "BINGET" | "LONG_BINGET":
                stack.append(self.memo[argument])
            case "GLOBAL":
                stack.append(_name(argument))
            case "BINPERSID":
                stack.append(_storage(*self.pop(1)))
            case "REDUCE":
                stack.append(_build(*self.pop(2)))
            case "NEWOBJ":
                stack.append(_new(*self.pop(2)))
            case "BUILD":
                # torch hangs a version table on its OrderedDict; the tensors are whole without it
                self.pop(1)
            case _:
                raise CheckpointError(f"the pickle uses {instruction}, which is not allowed")

    def pop(self, count: int) -> list[Any]:
        if len(self.stack) < count:
            raise IndexError
        items = self.stack[-count:]
        del self.stack[-count:]
        return items

    def pop_to_mark(self) -> list[Any]:
        items = []
        while not isinstance(item := self.stack.pop(), Mark):
            items.append(item)
        return items[::-1]

    def extend(self, items: list[Any]) -> None:
        if not isinstance(self.stack[-1], list):
            raise CheckpointError("the pickle appends to something that is not a list")
        self.stack[-1].extend(items)

    def update(self, items: list[Any]) -> None:
        keys = items[::2]
        if not isinstance(self.stack[-1], dict) or len(items) % 2:
            raise CheckpointError("the pickle sets items of something that is not a dict")
        if not all(type(key) in (str, int) for key in keys):
            raise CheckpointError(
                "the pickle has a dict with a key that is not a string or a number"
            )
        self.stack[-1].update(zip(keys, items[1::2], strict=True))


def _name(text: str) -> Name:
    if text == BFLOAT16:
        raise CheckpointError(
            "its tensors are bfloat16, which NumPy does not have; save them as float32: "
            "torch.save(model.float().state_dict(), file)"
        )
    if QUANTIZED.search(text):
        raise CheckpointError(
            f"its weights are quantised by torch ({_dotted(text)}); {EXPORT_FLOATS}"
        )
    if text not in ALLOWED_NAMES:
        raise CheckpointError(
            f"the pickle asks for {_dotted(text)}, which is not allowed: it holds objects of a "
            f"program, such as a whole model, and not only weights; {SAVE_WEIGHTS}"
        )
    return Name(text)


def _dotted(text: str) -> str:
    return text.replace(" ", ".")


def _new(kind: object, arguments: object) -> dict[str, object]:
    match kind, arguments:
        case Name(text=text), () if text == NAMESPACE:
            return {}
    raise CheckpointError("the pickle uses NEWOBJ, which is not allowed but for a Namespace")


def _build(function: object, arguments: object) -> object:
    """What torch's functions would make of their arguments."""
    match function, arguments:
        case Name(text=text), () if text == ORDERED_DICT:
            return {}
        case Name(text=text), (Tensor() as tensor, bool(), {}) if text == REBUILD_PARAMETER:
            return tensor
        case (
            Name(text=text),
            (Storage() as storage, int(offset), tuple(shape), tuple(strides), bool(), {}),
        ) if text == REBUILD_TENSOR and _are_ints(offset, *shape, *strides):
            return Tensor(storage, offset, shape, strides)
    called = function.text.replace(" ", ".") if isinstance(function, Name) else "a plain value"
    raise CheckpointError(f"the pickle calls {called} with arguments that torch would not give")


def _storage(identity: object) -> Storage:
    match identity:
        case ("storage", Name(text=kind), str(key), str(), int(elements), *view) if (
            kind in STORAGE_TYPES and _are_ints(elements) and elements >= 0 and view in ([], [None])
        ):
            return Storage(key, STORAGE_TYPES[kind], elements)
    raise CheckpointError("the pickle points to something that is not a plain storage")


def _are_ints(*values: object) -> bool:
    """True for whole numbers only; Python's bool is an int too."""
    return all(type(value) is int for value in values)
