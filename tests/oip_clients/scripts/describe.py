"""Print the messages and calls of the protocol as a client's own library has them.

describe.py tritonclient|kserve
"""

import json
import sys
from typing import Any

if sys.argv[1] == "kserve":
    from kserve.protocol.grpc import grpc_predict_v2_pb2 as service

    files = [service.DESCRIPTOR]
else:
    from tritonclient.grpc import model_config_pb2, service_pb2

    files = [model_config_pb2.DESCRIPTOR, service_pb2.DESCRIPTOR]


def fields(message: Any) -> dict[str, list[Any]]:
    """Every field of a message and of those in it: number, type and whether it is repeated."""
    found = {f"{message.name}.{field.name}": [field.number, field.type] for field in message.fields}
    for inner in message.nested_types:
        found |= {f"{message.name}.{name}": kind for name, kind in fields(inner).items()}
    return found


known: dict[str, list[Any]] = {}
calls: dict[str, list[str]] = {}
for file in files:
    for message in file.message_types_by_name.values():
        known |= fields(message)
    for found in file.services_by_name.values():
        for call in found.methods:
            calls[call.name] = [call.input_type.name, call.output_type.name]
print(json.dumps({"fields": known, "calls": calls}))
