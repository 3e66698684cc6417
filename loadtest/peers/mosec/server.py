import os

from classifier import Classifier
from mosec import Server, Worker


class ImageClassifier(Worker):
    def __init__(self):
        self.classifier = Classifier(threads=1)

    def deserialize(self, data: bytes) -> bytes:
        return data

    def forward(self, data: bytes) -> list[dict]:
        return self.classifier.classify(data)


if __name__ == "__main__":
    server = Server()
    server.append_worker(ImageClassifier, num=int(os.environ["CORES"]))
    server.run()
