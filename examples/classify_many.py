"""Classify several files in one request, as a form, and print one line for each.

    pip install httpx
    python examples/classify_many.py *.jpg

An image that cannot be classified has an error; the others are answered. URL names another service
than http://127.0.0.1:8000. One request may have at most `max_images` images (32 by default).
"""

import os
import sys
from pathlib import Path

import httpx

URL = os.environ.get("URL", "http://127.0.0.1:8000")


def main(paths: list[Path]) -> None:
    files = [("image", (path.name, path.read_bytes())) for path in paths]
    response = httpx.post(f"{URL}/predict", params={"top_k": 1}, files=files, timeout=60)
    answer = response.json()
    if response.is_error:
        sys.exit(f"{answer['title']}: {answer['detail']}")
    for path, result in zip(paths, answer["results"], strict=True):
        error, predictions = result.get("error"), result.get("predictions")
        print(f"{path.name}: {error['title'] if error else predictions[0]['label']}")


if __name__ == "__main__":
    main([Path(name) for name in sys.argv[1:]])
