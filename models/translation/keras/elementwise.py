"""Sums, products and arithmetic with numbers."""

from models.checkpoints.checkpoint import CheckpointError
from models.translation.keras.call import Call, Layer
from models.translation.keras.records import Records


def merge(kind: str) -> Layer:
    def merged(records: Records, call: Call) -> int:
        value = call.inputs[0]
        for other in call.inputs[1:]:
            value = records.same(kind, [value, other], call.name)
        return value

    return merged


def average(records: Records, call: Call) -> int:
    total = merge("ADD")(records, call)
    return records.same("DIV", [total, records.constant(len(call.inputs))], call.name)


def arithmetic(kind: str) -> Layer:
    def computed(records: Records, call: Call) -> int:
        if len(call.inputs) == 2:
            return records.same(kind, call.inputs, call.name)
        if len(call.inputs) != 1 or len(call.numbers.values) != 1:
            raise CheckpointError(f"{call.name} is no arithmetic of one value and one number")
        operands = [call.inputs[0], records.constant(call.numbers.values[0])]
        if call.numbers.first:
            operands.reverse()
        return records.step(kind, operands, records.shape(call.inputs[0]), call.name)

    return computed
