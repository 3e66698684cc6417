"""What an owner does with a container: a key, a certificate, another model, a new image."""

import os
import re
import shlex
import ssl
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from container.docker import docker
from tests.conftest import REAL_MODEL, ROOT
from tests.container.engine import Container, failed_start, running, started
from tests.container.test_run import HARDENED, share
from tests.exports import export_random
from tests.processes import LIVELINESS_S, until
from tests.test_readme import SAMPLE, without_times

USER = 10001
KEYED = ("--env", "GATEWAY_GENERATE_KEY=true")


@pytest.fixture
def volume() -> Iterator[str]:
    name = f"gateway-test-{os.getpid()}-{os.urandom(4).hex()}"
    docker("volume", "create", name)
    try:
        yield name
    finally:
        docker("volume", "rm", "--force", name)


def copied_key(container: Container, folder: Path) -> str:
    """The key, as the docs show it."""
    docker("cp", f"{container.id}:/models/api.key", str(folder / "api.key"))
    return (folder / "api.key").read_text("utf-8").strip()


def test_a_key_is_created_in_the_volume_and_the_next_container_keeps_it(
    image: str, volume: str, tmp_path: Path
) -> None:
    keys = []
    for said in ("Created an API key in", "The API key is in"):
        with running(image, *HARDENED, *KEYED, "--volume", f"{volume}:/models") as container:
            key = copied_key(container, tmp_path)
            show = "import os; s = os.stat('/models/api.key'); print(oct(s.st_mode), s.st_uid)"
            shown = docker("exec", container.id, "python", "-c", show).stdout.split()
            assert shown == ["0o100600", str(USER)]
            with container.client() as client:
                assert client.get("/models").status_code == 401
                assert client.get("/models", headers={"X-API-Key": key}).status_code == 200
            assert f"{said} /models/api.key." in container.log
            assert key not in container.log
            assert container.ask_healthcheck().returncode == 0
        keys.append(key)
    assert keys[0] == keys[1]


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        pytest.param((), "Read-only file system", id="read-only-root"),
        pytest.param(
            ("--tmpfs", "/models/keys:ro", "--env", "GATEWAY_API_KEYS_FILE=/models/keys/api.key"),
            "Read-only file system",
            id="read-only-volume",
        ),
        pytest.param(
            ("--tmpfs", "/keys:mode=755", "--env", "GATEWAY_API_KEYS_FILE=/keys/api.key"),
            "Permission denied",
            id="folder-of-root",
        ),
    ],
)
def test_a_key_that_cannot_be_written_ends_the_start(
    image: str, options: tuple[str, ...], reason: str
) -> None:
    said = failed_start(image, *HARDENED, *KEYED, "--env", "GATEWAY_LOG_LEVEL=error", *options)
    assert said.startswith("error: Cannot write a generated key to /")
    assert f": {reason}. Set api_keys_file (GATEWAY_API_KEYS_FILE)" in said
    assert said.count("\n") == 1


def test_without_a_key_the_log_says_so(image: str) -> None:
    with running(image, *HARDENED) as container:
        assert container.log.count("NO API KEY IS SET") == 1


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """The folder of the pair that the docs make, before it gets its owner."""
    text = (ROOT / "docs" / "tls.md").read_text("utf-8").replace("\\\n", "")
    [command] = re.findall(r"^ +(openssl req .*)$", text, re.MULTILINE)
    (tmp_path / "tls").mkdir()
    sent = command.replace("192.168.1.10", "127.0.0.1")
    subprocess.run(shlex.split(sent), cwd=tmp_path, check=True, capture_output=True)
    share(tmp_path)
    (tmp_path / "tls").chmod(0o755)
    return tmp_path / "tls"


def tls_options(folder: Path) -> tuple[str, ...]:
    return (
        *HARDENED, "--volume", f"{folder}:/tls:ro",
        "--env", "GATEWAY_TLS_CERT=/tls/cert.pem", "--env", "GATEWAY_TLS_KEY=/tls/key.pem",
    )  # fmt: skip


def test_a_self_signed_certificate_needs_the_right_owner(image: str, certificate: Path) -> None:
    if os.getuid() != 0:
        pytest.skip("needs root, to change the owner of a file")
    said = failed_start(image, *tls_options(certificate), "--env", "GATEWAY_LOG_LEVEL=error")
    assert said.startswith("error: Cannot use tls_cert /tls/cert.pem and tls_key /tls/key.pem: ")
    assert f"Permission denied. User {USER}, " in said
    os.chown(certificate / "key.pem", USER, -1)
    (certificate / "key.pem").chmod(0o400)
    trusted = ssl.create_default_context(cafile=str(certificate / "cert.pem"))
    with started(image, *tls_options(certificate)) as container:
        until(lambda: "listening on https://" in container.log, "it listens")
        url = container.base_url.replace("http://", "https://")
        answer = httpx.get(f"{url}/readyz", verify=trusted, trust_env=False, timeout=LIVELINESS_S)
        assert answer.status_code == 200
        assert container.ask_healthcheck().returncode == 0


def names(container: Container) -> set[str]:
    with container.client() as client:
        return {model["name"] for model in client.get("/models").json()["models"]}


def test_a_model_comes_into_a_running_container_and_goes(
    image: str, volume: str, tmp_path: Path
) -> None:
    path = export_random(tmp_path)
    options = ("--volume", f"{volume}:/models", "--env", "GATEWAY_RELOAD_POLL_S=0.2")
    with running(image, *HARDENED, *options) as container:
        before = names(container)
        docker("cp", str(path), f"{container.id}:/models/")
        until(lambda: names(container) == before | {path.stem}, "the new model is served")
        remove = f"import os; os.remove('/models/{path.name}')"
        docker("exec", container.id, "python", "-c", remove)
        until(lambda: names(container) == before, "the model is gone")


def test_an_old_volume_takes_over_the_models_of_a_new_image(
    image: str, volume: str, tmp_path: Path
) -> None:
    (tmp_path / "models").mkdir()
    mine = export_random(tmp_path / "models")
    (tmp_path / "models" / f"{REAL_MODEL}.onnx").write_bytes(b"of an old image")
    with started(image, *HARDENED, "--volume", f"{volume}:/models") as container:
        docker("cp", f"{tmp_path / 'models'}/.", f"{container.id}:/models/")
    text = (ROOT / "docs" / "container.md").read_text("utf-8").replace("\\\n", "")
    [command] = re.findall(r"^ +docker (run .*--entrypoint python .*)$", text, re.MULTILINE)
    places = {"mobilenet-gateway_models:/volume": f"{volume}:/volume", "mobilenet-gateway": image}
    docker(*[places.get(word, word) for word in shlex.split(command)])
    with running(image, *HARDENED, "--volume", f"{volume}:/models") as container:
        assert {mine.stem, REAL_MODEL} <= names(container)


def test_the_first_answer_is_that_of_readme(image: str) -> None:
    """In the form that is better for this machine; README prints the INT8 form's."""
    printed = re.findall(r'^\{"model":.*\}$', (ROOT / "README.md").read_text("utf-8"), re.MULTILINE)
    with running(image, *HARDENED) as container, container.client() as client:
        answer = client.post("/predict?top_k=2", content=SAMPLE.read_bytes()).json()
        expected = httpx.Response(200, text=printed[0]).json()
        if answer["model"] != expected["model"]:
            pytest.skip("this processor saturates INT8 kernels, so the float form answers")
        assert without_times(answer) == without_times(expected)


def test_the_printed_ways_to_run_the_image_start_it(image: str) -> None:
    text = (ROOT / "docs" / "container.md").read_text("utf-8").replace("\\\n", "")
    found = re.findall(r"^ +docker run -p 8000:8000 (.*?)mobilenet-gateway *(?:#.*)?$", text, re.M)
    assert len(found) == 2
    for options in found:
        with running(image, *shlex.split(options)) as container:
            assert container.ask_healthcheck().returncode == 0
