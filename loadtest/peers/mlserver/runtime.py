import numpy as np
from classifier import Classifier
from mlserver import MLModel
from mlserver.codecs import Base64Codec, NumpyCodec, StringCodec
from mlserver.types import InferenceRequest, InferenceResponse


class ImageClassifier(MLModel):
    async def load(self) -> bool:
        self.classifier = Classifier(threads=1)
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        [data] = Base64Codec.decode_input(payload.inputs[0])
        ranked = self.classifier.classify(data)
        return InferenceResponse(
            model_name=self.name,
            outputs=[
                StringCodec.encode_output("labels", [row["label"] for row in ranked]),
                NumpyCodec.encode_output(
                    "probabilities", np.array([row["probability"] for row in ranked])
                ),
            ],
        )
