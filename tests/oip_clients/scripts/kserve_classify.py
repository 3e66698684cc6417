"""Classify photos with KServe's inference clients, as one would on any server of the protocol.

    kserve_classify.py http|grpc ADDRESS MODEL FOLDER

Sends them as files and then as pixels. Prints for both one list of [class, probability] an image,
the three most probable.
"""

import asyncio
import json
import sys
from pathlib import Path

import numpy as np
from kserve import (
    InferenceGRPCClient,
    InferenceRESTClient,
    InferInput,
    InferRequest,
    RESTConfig,
)
from PIL import Image

CLASSES = 3


def request(model: str, form: str, folder: str) -> InferRequest:
    files = sorted(Path(folder).iterdir())
    if form == "files":
        batch = np.array([file.read_bytes() for file in files], dtype=np.object_)
        tensor = InferInput("image", list(batch.shape), "BYTES")
    else:
        batch = np.stack([np.asarray(Image.open(file).convert("RGB")) for file in files])
        tensor = InferInput("image", list(batch.shape), "UINT8")
    tensor.set_data_from_numpy(batch, binary_data=True)
    return InferRequest(model_name=model, infer_inputs=[tensor], request_id="7")


async def main(protocol: str, address: str, model: str, folder: str) -> None:
    found = {
        form: await classify(protocol, address, request(model, form, folder))
        for form in ("files", "pixels")
    }
    print(json.dumps(found))


async def classify(protocol: str, address: str, asked: InferRequest) -> list[list[list[float]]]:
    model = asked.model_name
    if protocol == "http":
        async with InferenceRESTClient(RESTConfig(protocol="v2")) as rest:
            assert await rest.is_server_live(address)
            assert await rest.is_server_ready(address)
            assert await rest.is_model_ready(address, model)
            answer = await rest.infer(address, asked, model)
    else:
        async with InferenceGRPCClient(address) as grpc:
            assert await grpc.is_server_live()
            assert await grpc.is_server_ready()
            assert await grpc.is_model_ready(model)
            answer = await grpc.infer(asked)
    assert answer.id == "7"
    rows = answer.get_output_by_name("probabilities").as_numpy()
    best = np.argsort(-rows, axis=1, kind="stable")[:, :CLASSES]
    return [[[int(i), float(row[i])] for i in top] for row, top in zip(rows, best, strict=True)]


asyncio.run(main(*sys.argv[1:]))
