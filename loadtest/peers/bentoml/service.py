import os

import bentoml
from classifier import Classifier
from PIL.Image import Image


@bentoml.service(workers=int(os.environ["CORES"]), traffic={"timeout": 30})
class ImageClassifier:
    def __init__(self) -> None:
        self.classifier = Classifier(threads=1)

    @bentoml.api
    def classify(self, image: Image) -> list[dict]:
        return self.classifier.predict(image)
