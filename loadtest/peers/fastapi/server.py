from classifier import Classifier
from fastapi import FastAPI, UploadFile

app = FastAPI()
classifier = Classifier()


@app.post("/predict")
def predict(image: UploadFile) -> list[dict]:
    return classifier.classify(image.file.read())
