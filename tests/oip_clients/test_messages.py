"""Our messages are those of the clients: the same names, numbers and types."""

from typing import Any

import pytest
from google.protobuf.descriptor import Descriptor

from app.oip import inference_pb2 as pb
from app.oip.grpc_service import InferenceService
from app.paths import OIP_SERVICE
from tests.oip_clients.environment import answer_of

# KServe's own form of the two calls, which the service also takes, see inference.proto.
KSERVE = {"RepositoryModelLoadRequest.model_name", "RepositoryModelUnloadRequest.model_name"}
ANSWERS_FOR_KSERVE = {
    "RepositoryModelLoadResponse.model_name",
    "RepositoryModelLoadResponse.isLoaded",
    "RepositoryModelUnloadResponse.model_name",
    "RepositoryModelUnloadResponse.isUnloaded",
}


@pytest.mark.parametrize("client", ["tritonclient", "kserve"])
def test_every_message_is_that_of_the_client(client: str) -> None:
    theirs = answer_of("describe.py", client)
    ours: dict[str, list[Any]] = {}
    for message in pb.DESCRIPTOR.message_types_by_name.values():
        ours |= _fields(message)
    common = ours.keys() & theirs["fields"].keys()
    assert len(common) > 50
    different = {name for name in common if ours[name] != theirs["fields"][name]}
    assert different <= (KSERVE if client == "kserve" else set())
    if client == "tritonclient":
        assert ours.keys() - common == ANSWERS_FOR_KSERVE
    [service] = pb.DESCRIPTOR.services_by_name.values()
    assert service.full_name == OIP_SERVICE
    for call in service.methods:
        known = theirs["calls"].get(call.name)
        assert known in (None, [call.input_type.name, call.output_type.name])


def test_every_call_that_is_declared_is_answered() -> None:
    [service] = pb.DESCRIPTOR.services_by_name.values()
    handlers = InferenceService(None, None).handlers()  # type: ignore[arg-type]  # for names only
    assert handlers.keys() == {call.name for call in service.methods}


def _fields(message: Descriptor) -> dict[str, list[Any]]:
    found: dict[str, list[Any]] = {
        f"{message.name}.{field.name}": [field.number, field.type] for field in message.fields
    }
    for inner in message.nested_types:
        found |= {f"{message.name}.{name}": kind for name, kind in _fields(inner).items()}
    return found
