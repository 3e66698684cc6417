import os

import litserve as ls
from classifier import Classifier
from fastapi import UploadFile


class ImageClassifier(ls.LitAPI):
    def setup(self, device):
        self.classifier = Classifier(threads=1)

    def decode_request(self, request: UploadFile):
        return request.file.read()

    def predict(self, data):
        return self.classifier.classify(data)

    def encode_response(self, output):
        return {"predictions": output}


if __name__ == "__main__":
    server = ls.LitServer(
        ImageClassifier(), accelerator="cpu", workers_per_device=int(os.environ["CORES"])
    )
    server.run(
        host="127.0.0.1",
        port=int(os.environ["PORT"]),
        log_level="warning",
        generate_client_file=False,
    )
