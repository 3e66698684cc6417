"""Fixtures for everything under tests/: models that are made here, and the real ones if they are.

A model with random weights takes 0.1 s to export and answers like a real one, so what is not about
labels is tested on any machine. The real models are those that `make test` put into the project's
store, and those whose weights lie beside the checkout.
"""

import logging
import shutil
import subprocess
import sys
import threading
from collections.abc import Generator, Iterator
from pathlib import Path

import httpx
import pytest
from hypothesis import HealthCheck, settings

from app.settings import Settings
from models.zoo.zoo import find
from tests.exports import export_random
from tests.serving import served

ROOT = Path(__file__).resolve().parents[1]
SHARED = ROOT.parent / "shared"
PACKAGE_TESTS = tuple(ROOT / "tests" / package for package in ("app", "client", "models"))
SMALL_V1, SMALL_V2 = "mobilenet_v1_0.25_128", "mobilenet_v2_0.35_96"
REAL_MODEL = "mobilenet_v2_1.0_224"
NEVER_MS = 10_000_000  # on a slow machine the 10 s of the default may pass
# What the publishers' pinned TFLite files hold.
PUBLISHED = (
    "mobilenet_v2_1.0_224_int8",
    "mobilenet_v1_1.0_224_int8",
    "mobilenet_v1_0.75_192_int8",
    "mobilenet_v1_0.5_160_int8",
    "mobilenet_v1_0.25_128_int8",
    "mobilenet_v1_0.25_128",
    "mobilenet_v1_0.25_224",
)

# A change must not fail for what another run draws, or for how long a draw takes: each run of the
# gate draws the same. `--hypothesis-profile=search` draws others, and more, as `make fuzz` does.
unhurried = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("gate", unhurried, derandomize=True)
settings.register_profile("search", unhurried, max_examples=1000)
settings.load_profile("gate")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, object, object]:
    """Pause coverage in what repeats lines that other tests measure.

    Measuring doubles the time of Python code. It pauses in a test with the mark `unmeasured`, such
    as a loop over many inputs, in the tests outside `PACKAGE_TESTS`, which run whole programs, and
    in the processes that these start.
    """
    measured = any(folder in item.path.parents for folder in PACKAGE_TESTS)
    if measured and item.get_closest_marker("unmeasured") is None:
        return (yield)
    here, in_threads = sys.gettrace(), threading.gettrace()
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("COVERAGE_PROCESS_CONFIG", raising=False)
        sys.settrace(None)
        threading.settrace(None)
        try:
            return (yield)
        finally:
            threading.settrace(in_threads)
            sys.settrace(here)


@pytest.fixture(autouse=True)
def root_logger() -> Iterator[None]:
    """Undo what a command that runs in this process does to all later tests: a level of its own."""
    root = logging.getLogger()
    level = root.level
    yield
    root.setLevel(level)


@pytest.fixture(scope="session")
def published_weights() -> Path:
    """A folder with the files of `PUBLISHED`, beside the checkout or where `pull` puts them."""
    files = {file for name in PUBLISHED for file in find(name).files}
    for folder in (SHARED / "weights", ROOT / "models" / "weights"):
        if all((folder / file).is_file() for file in files):
            return folder
    command = f"mobilenet-gateway models pull --store build/store {' '.join(PUBLISHED)}"
    pytest.skip(f"needs the publishers' files: run `{command}`")


def unpublished_photos(name: str) -> Path:
    """A folder of photos beside the checkout, whose right answers the tests know."""
    folder = SHARED / name
    if not folder.is_dir():
        pytest.skip("needs photos of the maintainers, which have no download: see CONTRIBUTING.md")
    return folder


@pytest.fixture(scope="session")
def known_photos() -> Path:
    """Photos of ImageNet's classes."""
    return unpublished_photos("photos")


@pytest.fixture(scope="session")
def waste_photos() -> Path:
    """Photos of waste in six classes, a part of TrashNet."""
    return unpublished_photos("teach/trash")


@pytest.fixture(scope="session")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store of two small models with random weights whose cards say "published"."""
    folder = tmp_path_factory.mktemp("store")
    export_random(folder, "mobilenet_v1", 0.25, 128)
    export_random(folder, "mobilenet_v2", 0.35, 96)
    return folder


@pytest.fixture(scope="session")
def real_store() -> Path:
    """The project's own store with the default model in it."""
    folder = ROOT / "models" / "store"
    if not (folder / f"{REAL_MODEL}.onnx").is_file():
        pytest.skip(f"needs {REAL_MODEL} in {folder}: run `mobilenet-gateway models pull`")
    return folder


@pytest.fixture(scope="session")
def client(store: Path) -> Iterator[httpx.Client]:
    """The service over the small models; the first one is the default."""
    with served(Settings(store=store, default_model=SMALL_V1, deadline_ms=NEVER_MS)) as opened:
        yield opened


@pytest.fixture(scope="session")
def real_client(real_store: Path) -> Iterator[httpx.Client]:
    """The service over the default model with its real weights."""
    with served(Settings(store=real_store, models=(REAL_MODEL,), deadline_ms=NEVER_MS)) as opened:
        yield opened


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A certificate for 127.0.0.1 that signs itself, and its key."""
    if not shutil.which("openssl"):
        pytest.skip("needs openssl to make a certificate")
    folder = tmp_path_factory.mktemp("tls")
    cert, key = folder / "cert.pem", folder / "key.pem"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
    command += ["-nodes", "-days", "2", "-subj", "/CN=gateway", "-addext"]
    command += ["subjectAltName=IP:127.0.0.1", "-keyout", str(key), "-out", str(cert)]
    subprocess.run(command, capture_output=True, check=True)
    return cert, key
