"""Print the cost of every loaded model and its measured milliseconds on the service's device.

    pip install httpx
    python examples/compare_models.py

URL names another service than http://127.0.0.1:8000. The time is missing until the service has
timed a model, which it does after the start while it is idle.
"""

import os

import httpx

URL = os.environ.get("URL", "http://127.0.0.1:8000")


def main() -> None:
    with httpx.Client(base_url=URL) as client:
        print(f"{'model':40} {'MAdds':>8} {'parameters':>11} {'top-1':>7} {'ms':>7}")
        for model in client.get("/models").raise_for_status().json()["models"]:
            card = client.get(f"/models/{model['name']}").raise_for_status().json()
            trained = [one for one in card["variants"] if one["resolution"] == model["resolution"]]
            ms = trained[0]["inference_ms"] if trained else None
            top1 = f"{model['top1']['percent']:.1f} %" if model["top1"] else "-"
            print(
                f"{model['name']:40} {model['madds'] / 1e6:6.1f} M {model['params'] / 1e6:9.2f} M"
                f" {top1:>7} {'-' if ms is None else f'{ms:.2f}':>7}"
            )


if __name__ == "__main__":
    main()
