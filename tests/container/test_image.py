"""The contents of the image."""

import gzip
import io
import json
import re
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pip._internal.models import index

from container.docker import docker, inspect
from tests.conftest import REAL_MODEL, ROOT

MOST_BYTES, MOST_COMPRESSED_BYTES = 160e6, 64e6
GROWTH = 1.03
CREDENTIAL = re.compile(
    rb"-----BEGIN (?:RSA |EC |OPENSSH )?PRIVATE KEY-----\s+[A-Za-z0-9+/]{40}"
    rb"|gh[pousr]_[A-Za-z0-9]{36}|https?://[^/\s:@'\"]+:[^/\s:@'\"{}<>$]+@"
)
EXAMPLES = re.compile(rb"user:pass|username:password|:\*+@|:secret@|:pass@|joe:|:pw@")


@pytest.fixture(scope="module")
def config(image: str) -> dict[str, Any]:
    found: dict[str, Any] = inspect(image)["Config"]
    return found


@pytest.fixture(scope="module")
def layers(image: str) -> list[tuple[bytes, dict[str, Any]]]:
    """Each layer as a tar archive, and the configuration of the image."""
    saved = subprocess.run(["docker", "save", image], capture_output=True, check=True).stdout
    with tarfile.open(fileobj=io.BytesIO(saved)) as archive:

        def member(name: str) -> bytes:
            file = archive.extractfile(name)
            assert file
            return file.read()

        [manifest] = json.loads(member("manifest.json"))
        settings = json.loads(member(manifest["Config"]))
        return [(member(name), settings) for name in manifest["Layers"]]


def files(layers: list[tuple[bytes, dict[str, Any]]]) -> Iterator[tuple[str, bytes]]:
    for layer, _ in layers:
        with tarfile.open(fileobj=io.BytesIO(layer)) as archive:
            for found in archive:
                file = archive.extractfile(found) if found.isreg() else None
                yield found.name, file.read() if file else b""


def check_size(name: str, architecture: str) -> int:
    recorded = json.loads((ROOT / "container" / "sizes.json").read_text("utf-8"))[architecture]
    size: int = inspect(name)["Size"]
    assert size <= MOST_BYTES
    assert size <= recorded["bytes"] * GROWTH, "it grew by more than 3 %: `make image-sizes`"
    return size


def test_it_is_small_and_has_not_grown(
    image: str, layers: list[tuple[bytes, dict[str, Any]]]
) -> None:
    check_size(image, inspect(image)["Architecture"])
    assert sum(len(gzip.compress(layer, 6)) for layer, _ in layers) <= MOST_COMPRESSED_BYTES


def test_the_arm64_image_is_small_and_has_not_grown(arm64_image: str) -> None:
    assert inspect(arm64_image)["Architecture"] == "arm64"
    check_size(arm64_image, "arm64")


def test_it_runs_one_program_as_a_user_without_rights(config: dict[str, Any]) -> None:
    assert config["User"] == "10001:10001"
    assert config["Entrypoint"] == ["mobilenet-gateway"]
    assert config["Cmd"] == ["serve"]
    assert config["StopSignal"] == "SIGTERM"
    assert config["Healthcheck"]["Test"][0] == "CMD"
    assert set(config["ExposedPorts"]) == {"8000/tcp"}


def test_its_environment_says_only_what_the_service_needs(config: dict[str, Any]) -> None:
    variables = dict(variable.split("=", 1) for variable in config["Env"])
    assert variables["ORT_DISABLE_TELEMETRY"] == "1"
    assert variables["GATEWAY_HOST"] == "0.0.0.0"  # noqa: S104  # inside the container
    assert variables["GATEWAY_STORE"] == "/models"
    assert not [name for name in variables if name.startswith(("PIP_", "UV_", "SSL_", "HTTP"))]


def test_its_labels_say_what_it_is(config: dict[str, Any]) -> None:
    prefix = "org.opencontainers.image."
    labels = {name.removeprefix(prefix): text for name, text in config["Labels"].items()}
    assert labels["title"] == "mobilenet-gateway"
    assert labels["licenses"] == "Apache-2.0"
    assert labels.keys() >= {"version", "revision", "description"}


def test_nothing_that_installs_builds_or_opens_a_shell_is_left(
    layers: list[tuple[bytes, dict[str, Any]]],
) -> None:
    names = [name for name, _ in files(layers)]
    programs = {Path(name).name for name in names if "/bin/" in f"/{name}" and name[-1] != "/"}
    assert programs <= {"python", "python3.11", "mobilenet-gateway"}
    packages = {name.partition("site-packages/")[2].partition("/")[0] for name in names}
    assert not packages & {"pip", "setuptools", "wheel", "models", "onnx", "tflite"}
    assert {"app", "onnxruntime", "numpy", "PIL"} <= packages
    assert f"models/{REAL_MODEL}.onnx" in names
    folders = {"etc/ssl", "root", "src", "var", "home"}
    assert not [name for name in names if any(name.startswith(folder) for folder in folders)]


def test_byte_code_is_there_once_and_source_is_only_ours(
    layers: list[tuple[bytes, dict[str, Any]]],
) -> None:
    ours = "opt/gateway/lib/python3.11/site-packages/app/"
    names = {name for name, _ in files(layers)}
    sources = {name for name in names if name.endswith(".py")}
    foreign = {name for name in sources if not name.startswith(ours)}
    assert f"{ours}http/application.py" in sources
    assert "opt/gateway/healthcheck.py" in foreign
    assert not [name for name in sources if f"{name}c" in names]
    assert not [name for name in names if "__pycache__" in name and not name.startswith(ours)]


def test_no_file_but_those_of_the_models_belongs_to_the_service(
    layers: list[tuple[bytes, dict[str, Any]]],
) -> None:
    owned, privileged = set(), set()
    for layer, _ in layers:
        with tarfile.open(fileobj=io.BytesIO(layer)) as archive:
            owned |= {found.name.rstrip("/") for found in archive if found.uid}
            privileged |= {found.name for found in archive if found.mode & 0o6000}
    assert privileged == set()
    assert {name.partition("/")[0] for name in owned} == {"models"}


def test_no_credential_and_no_package_index_is_in_any_layer(
    image: str, layers: list[tuple[bytes, dict[str, Any]]]
) -> None:
    history = docker("history", "--no-trunc", "--format", "{{.CreatedBy}}", image).stdout
    assert "://" not in history
    assert "index" not in history
    hosts = configured_hosts()
    for name, content in files(layers):
        assert Path(name).name not in {"pip.conf", ".netrc", ".pypirc", "direct_url.json", ".env"}
        for found in CREDENTIAL.finditer(content):
            assert EXAMPLES.search(found[0]), f"{name}: {found[0]!r}"
        for host in hosts:
            assert host not in content, f"{name} names {host!r}"


def configured_hosts() -> list[bytes]:
    """Hosts of the package indexes that this machine is set up for, if it is for any.

    pip's own default is left out: packages name it in their descriptions.
    """
    run = subprocess.run(["pip", "config", "list"], capture_output=True, text=True, check=False)
    lines = [line for line in run.stdout.splitlines() if "index" in line or "find-links" in line]
    found = {
        host for line in lines for host in re.findall(r"https?://(?:[^/@\s']*@)?([^/\s']+)", line)
    }
    return [host.encode() for host in found - {index.PyPI.netloc}]
