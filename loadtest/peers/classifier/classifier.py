"""The classifier that every peer serves: the same ONNX file, with straightforward use of Pillow.

Preprocessing as published with the weights: shorter side to resolution / 0.875, centre crop.
"""

import io
import json
import os

import numpy as np
import onnxruntime as ort
from PIL import Image

CROP_FRACTION = 0.875


class Classifier:
    """Ranks the classes of a JPEG; `threads=None` leaves the number to onnxruntime."""

    def __init__(self, threads: int | None = None) -> None:
        options = ort.SessionOptions()
        if threads is not None:
            options.intra_op_num_threads = threads
        path = os.environ["MODEL"]
        self.session = ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        metadata = self.session.get_modelmeta().custom_metadata_map
        card = json.loads(metadata["mobilenet_gateway_card"])
        self.labels = card["labels"]
        self.resolution = card["resolution"]
        self.predict(Image.new("RGB", (640, 480)))

    def classify(self, data: bytes) -> list[dict]:
        return self.predict(Image.open(io.BytesIO(data)))

    def predict(self, image: Image.Image) -> list[dict]:
        probabilities = self.session.run(["probabilities"], {"image": self.preprocess(image)})[0][0]
        best = np.argsort(probabilities)[::-1][:5]
        return [
            {"class_id": int(i), "label": self.labels[i], "probability": float(probabilities[i])}
            for i in best
        ]

    def preprocess(self, image: Image.Image) -> np.ndarray:
        image = image.convert("RGB")
        scale = self.resolution / CROP_FRACTION / min(image.size)
        width, height = (round(side * scale) for side in image.size)
        image = image.resize((width, height), Image.Resampling.BILINEAR)
        left, top = (width - self.resolution) // 2, (height - self.resolution) // 2
        image = image.crop((left, top, left + self.resolution, top + self.resolution))
        return np.asarray(image)[np.newaxis]
