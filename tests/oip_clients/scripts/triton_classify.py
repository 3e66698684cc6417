"""Classify photos with tritonclient, as one would on any server of the protocol.

    triton_classify.py http|grpc ADDRESS MODEL files|pixels FOLDER

Knows no tensor by name: it asks the server. Prints one list of "value:index:label" an image.
"""

import json
import sys
from pathlib import Path

import numpy as np
from PIL import Image

CLASSES = 3


def main(protocol: str, address: str, model: str, form: str, folder: str) -> None:
    if protocol == "http":
        import tritonclient.http as triton
    else:
        import tritonclient.grpc as triton
    with triton.InferenceServerClient(address) as client:
        assert client.is_server_live()
        assert client.is_server_ready()
        assert client.is_model_ready(model)
        metadata = client.get_model_metadata(model)
        if protocol == "http":
            name, output = metadata["inputs"][0]["name"], metadata["outputs"][0]["name"]
        else:
            name, output = metadata.inputs[0].name, metadata.outputs[0].name
        files = sorted(Path(folder).iterdir())
        if form == "files":
            batch = np.array([file.read_bytes() for file in files], dtype=np.object_)
            tensor = triton.InferInput(name, list(batch.shape), "BYTES")
        else:
            batch = np.stack([np.asarray(Image.open(file).convert("RGB")) for file in files])
            tensor = triton.InferInput(name, list(batch.shape), "UINT8")
        tensor.set_data_from_numpy(batch)
        wanted = triton.InferRequestedOutput(output, class_count=CLASSES)
        result = client.infer(model, [tensor], outputs=[wanted], request_id="7")
        rows = result.as_numpy(output)
        print(json.dumps([[text.decode() for text in row] for row in rows]))


main(*sys.argv[1:])
