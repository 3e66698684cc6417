import os

import ray
from classifier import Classifier
from ray import serve
from starlette.requests import Request


@serve.deployment(num_replicas=int(os.environ["CORES"]), ray_actor_options={"num_cpus": 1})
class ImageClassifier:
    def __init__(self) -> None:
        self.classifier = Classifier(threads=1)

    async def __call__(self, request: Request) -> list[dict]:
        return self.classifier.classify(await request.body())


if __name__ == "__main__":
    ray.init(include_dashboard=False, _node_ip_address="127.0.0.1", log_to_driver=False)
    serve.start(http_options={"host": "127.0.0.1", "port": int(os.environ["PORT"])})
    serve.run(ImageClassifier.bind(), route_prefix="/predict", blocking=True)
