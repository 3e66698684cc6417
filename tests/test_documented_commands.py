"""The requests and commands that README and docs print."""

import os
import re
import runpy
import shlex
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import ImageOps
from pydantic import SecretStr

from app.settings import Settings
from tests.app.cli_runner import run
from tests.app.sample_images import chelsea, encode, noise
from tests.app.training.colours import KEY, photo
from tests.app.training.colours import settings as teaching_settings
from tests.conftest import REAL_MODEL, ROOT
from tests.exports import export_random
from tests.serving import served

PAGES = [ROOT / "README.md", ROOT / "client" / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
BLOCK = re.compile(r"```console\n(.*?)```", re.DOTALL)
# a command ends at the next one or at an answer in JSON
COMMAND = re.compile(r"^\$ (curl .*?)(?=\n\$ |\n\{|\Z)", re.DOTALL | re.MULTILINE)


def printed() -> Iterator[tuple[str, str]]:
    """Page and command of every printed request that needs no other before it."""
    for page in PAGES:
        for block in BLOCK.findall(page.read_text("utf-8")):
            for command in COMMAND.findall(block.strip()):
                if "/heads/" not in block:
                    yield page.name, command


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    store = tmp_path_factory.mktemp("store")
    path = export_random(store, "mobilenet_v2", 1.0, 224)
    assert path.stem == REAL_MODEL
    with served(Settings(store=store)) as client:
        yield str(client.base_url).removeprefix("http://").rstrip("/")


@pytest.mark.skipif(shutil.which("curl") is None, reason="needs curl")
@pytest.mark.parametrize(("page", "command"), list(printed()))
def test_a_request_is_answered_as_it_is_printed(
    page: str, command: str, address: str, tmp_path: Path
) -> None:
    (tmp_path / "cat.jpg").write_bytes(encode(noise(640, 480)))
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    # this machine may not meet 20 ms
    sent = command.replace("localhost:8000", address).replace("ms=20", "ms=20000")
    sent = sent.replace("curl ", "curl --silent --fail-with-body ", 1)
    done = subprocess.run(
        ["bash", "-c", sent], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"{page}: {done.stdout}{done.stderr}"


@pytest.mark.skipif(shutil.which("curl") is None, reason="needs curl")
def test_requests_that_teach_are_answered_one_after_another(store: Path, tmp_path: Path) -> None:
    text = (ROOT / "docs" / "teach.md").read_text("utf-8")
    [block] = [found for found in BLOCK.findall(text) if "/heads/" in found]
    names = ("open-1", "open-2", "closed-1", "closed-2", "now")
    for seed, name in enumerate(names):
        (tmp_path / f"{name}.jpg").write_bytes(encode(noise(640, 480, seed)))
    settings = Settings(store=store, heads=tmp_path / "heads", admin_key=SecretStr("boss"))
    commands = COMMAND.findall(block.strip())
    assert len(commands) == 6
    with served(settings) as client:
        address = str(client.base_url).removeprefix("http://").rstrip("/")
        for command in commands:
            sent = command.replace("localhost:8000", address)
            done = subprocess.run(
                ["bash", "-c", sent.replace("curl ", "curl --silent --fail-with-body ", 1)],
                cwd=tmp_path, capture_output=True, text=True, check=False,
                env={**os.environ, "KEY": "boss"},
            )  # fmt: skip
            assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
    assert (tmp_path / "gate.head.npz").is_file()


def test_requests_are_found_on_several_pages() -> None:
    assert {"README.md", "choosing.md", "protocol.md"} <= {page for page, _ in printed()}


def test_the_example_of_embeddings_compares_each_image_with_the_first(
    address: str, tmp_path: Path
) -> None:
    text = (ROOT / "docs" / "embeddings.md").read_text("utf-8")
    [script] = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    cat = chelsea()
    (tmp_path / "cat.jpg").write_bytes(encode(cat))
    (tmp_path / "mirrored.jpg").write_bytes(encode(ImageOps.mirror(cat)))
    (tmp_path / "noise.jpg").write_bytes(encode(noise(640, 480)))
    done = subprocess.run(
        [sys.executable, "-c", script.replace("localhost:8000", address)],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    cosines = {name: float(cosine) for cosine, name in map(str.split, done.stdout.splitlines())}
    assert list(cosines) == ["cat.jpg", "mirrored.jpg", "noise.jpg"]
    assert cosines["cat.jpg"] == pytest.approx(1)
    assert 0 < cosines["mirrored.jpg"] < 1  # random weights do not know which is more alike
    assert 0 < cosines["noise.jpg"] < 1


def test_the_example_of_teaching_teaches_a_head(store: Path, tmp_path: Path) -> None:
    """From a folder of photos to a label and a file."""
    text = (ROOT / "docs" / "client.md").read_text("utf-8")
    [script] = [
        found for found in re.findall(r"```python\n(.*?)```", text, re.DOTALL) if "train(" in found
    ]
    for label in ("closed", "open"):
        (tmp_path / "photos" / label).mkdir(parents=True)
        for seed in range(3):
            (tmp_path / "photos" / label / f"{seed}.jpg").write_bytes(photo(label, seed))
    (tmp_path / "photos" / "open" / "notes.txt").write_text("no photo")
    (tmp_path / "now.jpg").write_bytes(photo("open", 9))
    with served(teaching_settings(store, tmp_path / "heads")) as client:
        address = str(client.base_url).rstrip("/")
        done = subprocess.run(
            [
                sys.executable,
                "-c",
                script.replace("http://gateway:8000", address).replace("ADMIN-KEY", KEY),
            ],
            cwd=tmp_path, capture_output=True, text=True, check=False,
        )  # fmt: skip
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert sum(re.fullmatch(r"[0-9a-f]{16}", line) is not None for line in lines) == 6
    assert [line for line in lines if line.startswith("Not an image")]
    assert lines[-2] in ("closed", "open", "unknown")
    assert lines[-1] == "{'closed': 3, 'open': 3}"
    assert (tmp_path / "gate.head.npz").read_bytes().startswith(b"PK")


def installs() -> Iterator[tuple[str, str, str]]:
    """File, folder and extras of every printed command that installs a part of the checkout."""
    command = re.compile(r"pip install '?(\.[^'\"`\s\[]*)(?:\[([^\]]*)\]')?")
    folders = ("app", "models", "client")
    sources = [path for name in folders for path in sorted((ROOT / name).rglob("*.py"))]
    examples = sorted(path for path in (ROOT / "examples").iterdir() if path.suffix != ".jpg")
    for path in (*PAGES, *sorted((ROOT / "deploy").glob("*.md")), *examples, *sources):
        for package, extras in command.findall(path.read_text("utf-8")):
            yield path.name, package, extras


def test_what_is_installed_is_the_checkout_with_extras_that_exist() -> None:
    """The project is on no index, so its name installs nothing."""
    found = list(installs())
    assert {"README.md", "client.md", "serve.py", "parquet.py"} <= {name for name, _, _ in found}
    for name, package, extras in found:
        project = tomllib.loads((ROOT / package / "pyproject.toml").read_text("utf-8"))["project"]
        assert set(filter(None, extras.split(","))) <= project["optional-dependencies"].keys(), name


def documented() -> Iterator[tuple[str, str]]:
    """Page and arguments of every `mobilenet-gateway`; the command of the client is one of its."""
    line = re.compile(
        r"^(?:\$ | {4,})mobilenet-gateway(?:-client)? (.*?)(?:\s+#.*)?$", re.MULTILINE
    )
    for page in PAGES:
        for arguments in line.findall(page.read_text("utf-8")):
            yield page.name, arguments


@pytest.mark.parametrize(("page", "arguments"), list(documented()))
def test_a_command_has_the_options_that_are_printed(
    page: str, arguments: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """`--help` succeeds only if all options before it are known; other tests run the commands."""
    words = [word for word in shlex.split(arguments) if word != "..."]
    outcome = run(capsys, *words, "--help")
    assert outcome.status == 0, f"{page}: {outcome.err}"


def test_an_option_that_there_is_not_would_be_noticed(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(capsys, "models", "cost", "--depth", "2", "--help").status == 2


def scripts() -> Iterator[tuple[str, str]]:
    """Page and arguments of every `.venv/bin/python -m`."""
    for page in PAGES:
        for command in re.findall(r"\.venv/bin/python -m ([^`#\n]*)", page.read_text("utf-8")):
            yield page.name, command.strip()


@pytest.mark.parametrize(("page", "command"), list(scripts()))
def test_a_measurement_has_the_options_that_are_printed(
    page: str, command: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    module, *options = shlex.split(command)
    monkeypatch.setattr(sys, "argv", [module, *options, "--help"])
    monkeypatch.delitem(sys.modules, module, raising=False)  # runpy warns of one that is there
    with pytest.raises(SystemExit) as ended:
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    assert not ended.value.code, f"{page}: {capsys.readouterr().err}"


def test_what_is_made_is_a_target_of_the_makefile() -> None:
    makefile = (ROOT / "Makefile").read_text("utf-8")
    targets = set(re.findall(r"^([a-z0-9-]+):", makefile, re.MULTILINE))
    printed = re.compile(r"(?:^ {4,}|`)(?:\w+=\S+ )*make ([^`#\n]*)", re.MULTILINE)
    pages = (*PAGES, *sorted((ROOT / "deploy").glob("*.md")))
    found = [words for page in pages for words in printed.findall(page.read_text("utf-8"))]
    assert len(found) > 10
    for words in found:
        for word in words.split("&&")[0].split():
            assert word in targets or "=" in word, words
