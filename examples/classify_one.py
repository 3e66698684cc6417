"""Classify one image file and print its labels.

    pip install httpx
    python examples/classify_one.py cat.jpg

URL names another service than http://127.0.0.1:8000.
"""

import os
import sys
from pathlib import Path

import httpx

URL = os.environ.get("URL", "http://127.0.0.1:8000")


def main(path: Path) -> None:
    response = httpx.post(f"{URL}/predict", params={"top_k": 3}, content=path.read_bytes())
    answer = response.json()
    if response.is_error:
        sys.exit(f"{answer['title']}: {answer['detail']}")
    for prediction in answer["results"][0]["predictions"]:
        print(f"{prediction['probability']:6.1%}  {prediction['label']}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
