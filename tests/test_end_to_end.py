"""What somebody types who tries the service: a real process, a real photo, a real signal."""

import json
import signal
import socket
import subprocess
from pathlib import Path

import httpx
import pytest

from tests.app.cli_runner import END_S, finished, started
from tests.app.sample_images import chelsea, encode, noise
from tests.conftest import REAL_MODEL, SMALL_V2


def test_the_default_model_is_served_and_sees_a_cat(real_store: Path) -> None:
    with started("--store", str(real_store)) as (process, address):
        assert httpx.get(f"{address}/readyz", timeout=END_S).json() == {"status": "ready"}
        answer = httpx.post(
            f"{address}/predict", content=encode(chelsea(), "PNG"), timeout=END_S
        ).json()
        # The store may have both forms, and then the CPU decides.
        assert answer["model"] in {REAL_MODEL, f"{REAL_MODEL}_ptq"}
        assert (
            answer["model"] == httpx.get(f"{address}/info", timeout=END_S).json()["default_model"]
        )
        assert answer["results"][0]["predictions"][0]["label"] == "Egyptian cat"
        process.send_signal(signal.SIGTERM)
        assert process.wait(END_S) == 0


def test_a_second_start_answers_like_the_first(store: Path) -> None:
    photo = encode(noise())
    answers = []
    for _ in range(2):
        with started("--store", str(store), "--models", SMALL_V2) as (process, address):
            answer = httpx.post(f"{address}/predict", content=photo, timeout=END_S).json()
            answers.append(answer["results"][0]["predictions"])
            process.send_signal(signal.SIGINT)
            assert process.wait(END_S) == 0
    assert answers[0] == answers[1] != []


def test_settings_come_from_a_file_the_environment_and_the_command_line(
    store: Path, tmp_path: Path
) -> None:
    config = tmp_path / "gateway.toml"
    config.write_text(f"store = {json.dumps(str(store))}\nmax_images = 1\nmin_side_pixels = 1\n")
    arguments = ("--config", str(config), "--min-side-pixels", "3", "--no-reduced-decode")
    variables = {"GATEWAY_MAX_IMAGES": "2", "GATEWAY_MIN_SIDE_PIXELS": "2"}
    with started(*arguments, **variables) as (_, address):
        found = httpx.get(f"{address}/info", timeout=END_S).json()["settings"]
    assert found["store"] == str(store)
    assert (found["max_images"], found["min_side_pixels"]) == (2, 3)
    assert found["reduced_decode"] is False


def test_a_port_that_is_taken_ends_the_start_with_a_reason(store: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        outcome = finished("serve", "--store", str(store), "--port", port)
    assert outcome.status == 1
    assert f"error: Cannot listen on 127.0.0.1 port {port}: " in outcome.err
    assert "Traceback" not in outcome.err


def test_curl_gets_the_cat_as_the_readme_says(real_store: Path, tmp_path: Path) -> None:
    photo = tmp_path / "cat.bmp"
    photo.write_bytes(encode(chelsea(), "BMP"))
    with started("--store", str(real_store)) as (_, address):
        command = ["curl", "--silent", "--data-binary", f"@{photo}"]
        header = ["--header", "Content-Type: image/bmp"]
        try:
            run = subprocess.run(
                [*command, *header, f"{address}/predict"], capture_output=True, check=True
            )
        except FileNotFoundError:
            pytest.skip("needs curl")
    answer = json.loads(run.stdout)
    assert answer["results"][0]["predictions"][0]["label"] == "Egyptian cat"
