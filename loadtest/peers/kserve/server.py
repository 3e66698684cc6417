import argparse
import base64

import kserve
from classifier import Classifier


class ImageClassifier(kserve.Model):
    def __init__(self, name: str):
        super().__init__(name)
        self.ready = True  # this process only starts the workers

    def __getstate__(self):
        return {key: value for key, value in vars(self).items() if key != "classifier"}

    def __setstate__(self, state):
        """Load in each worker process: an onnxruntime session cannot be sent to one."""
        vars(self).update(state)
        self.load()

    def load(self):
        self.classifier = Classifier(threads=1)
        self.ready = True
        return self.ready

    def predict(self, payload: dict, headers: dict | None = None) -> dict:
        return {
            "predictions": [
                self.classifier.classify(base64.b64decode(instance["image_bytes"]["b64"]))
                for instance in payload["instances"]
            ]
        }


if __name__ == "__main__":
    parser = argparse.ArgumentParser(parents=[kserve.model_server.parser])
    parser.parse_args()
    kserve.ModelServer().start([ImageClassifier("mobilenet")])
