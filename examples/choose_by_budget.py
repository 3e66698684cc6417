"""Let the service choose the most accurate model within a latency limit.

    pip install httpx
    python examples/choose_by_budget.py cat.jpg 20

The limit is in milliseconds. URL names another service than http://127.0.0.1:8000.
"""

import os
import sys
from pathlib import Path

import httpx

URL = os.environ.get("URL", "http://127.0.0.1:8000")


def main(path: Path, max_latency_ms: float) -> None:
    query: dict[str, str | float] = {"model": "auto", "max_latency_ms": max_latency_ms}
    response = httpx.post(f"{URL}/predict", params=query, content=path.read_bytes())
    answer = response.json()
    if response.is_error:  # such as an impossible budget; the detail says what is possible
        sys.exit(f"{answer['title']}: {answer['detail']}")
    choice = answer["choice"]
    print(f"{answer['model']} at {answer['resolution']} pixels: {choice['reason']}")
    print(f"expected {choice['expected_ms']:.1f} ms, top-1 {choice['top1']:.1f} %")
    print(answer["results"][0]["predictions"][0]["label"])


if __name__ == "__main__":
    main(Path(sys.argv[1]), float(sys.argv[2]))
