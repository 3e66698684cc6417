"""The scripts of examples/, run as their docstrings say, against a running service.

`finetune_torch.py` needs PyTorch, which is no dependency of the project: only what its text says is
tested here. It compares itself with the served model whenever it runs.
"""

import ast
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from models.zoo.zoo import zoo
from tests.app import cli_runner
from tests.app.sample_images import chelsea, encode, noise
from tests.conftest import REAL_MODEL, ROOT, SMALL_V1, SMALL_V2
from tests.processes import COMMAND
from tests.test_notebook import NOTEBOOK

FOLDER = ROOT / "examples"
LABEL = r"\S.*"
RANKED = rf" *[\d.]+%  {LABEL}\n"
MAX_LINES = 40
NEEDS_TORCH = "finetune_torch.py"
# The arguments of each script, and what it prints.
SCRIPTS = {
    "classify_one.py": (["cat.jpg"], RANKED * 3),
    "classify_many.py": (
        ["cat.jpg", "notes.txt", "noise.jpg"],
        rf"cat\.jpg: {LABEL}\nnotes\.txt: Not an image\nnoise\.jpg: {LABEL}\n",
    ),
    "choose_by_budget.py": (
        ["cat.jpg", "60000"],
        rf"mobilenet_v\S+ at \d+ pixels: {LABEL}\nexpected [\d.]+ ms, top-1 [\d.]+ %\n{LABEL}\n",
    ),
    "compare_models.py": (
        [],
        rf"model .* ms\n{re.escape(SMALL_V1)} .*M.*\n{re.escape(SMALL_V2)} .*M.*\n",
    ),
    "open_inference_protocol.py": (["cat.jpg", SMALL_V1], RANKED * 3),
    "async_client.py": (["."], rf"(?:(?:cat|noise)\.jpg: {LABEL}\n){{2}}"),
    "folder.sh": ([".", "results.csv"], rf"2 images: .*\n(?: +\d {LABEL}\n)+"),
}


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    (tmp_path / "cat.jpg").write_bytes(encode(chelsea()))
    (tmp_path / "noise.jpg").write_bytes(encode(noise()))
    (tmp_path / "notes.txt").write_text("not an image", "utf-8")
    return tmp_path


def run(client: httpx.Client, photos: Path, script: str, *arguments: str) -> str:
    """Run a script in the folder of photos; what it prints."""
    folders = (str(Path(sys.executable).parent), str(Path(COMMAND).parent), os.environ["PATH"])
    done = subprocess.run(
        [*([sys.executable] if script.endswith(".py") else []), str(FOLDER / script), *arguments],
        cwd=photos,
        env={**os.environ, "URL": str(client.base_url).rstrip("/"), "PATH": ":".join(folders)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_every_script_is_run_here() -> None:
    found = {path.name for path in FOLDER.iterdir() if path.suffix in (".py", ".sh", ".ipynb")}
    assert SCRIPTS.keys() == found - {NEEDS_TORCH, NOTEBOOK.name}


@pytest.mark.parametrize("script", SCRIPTS)
def test_a_script_prints_what_it_is_for(client: httpx.Client, photos: Path, script: str) -> None:
    if script.endswith(".sh") and shutil.which("bash") is None:
        pytest.skip("needs bash")
    arguments, printed = SCRIPTS[script]
    out = run(client, photos, script, *arguments)
    assert re.fullmatch(printed, out), out


def test_the_first_script_sees_a_cat(real_client: httpx.Client, photos: Path) -> None:
    assert "Egyptian cat" in run(real_client, photos, "classify_one.py", "cat.jpg")


@pytest.mark.parametrize("script", SCRIPTS)
def test_a_script_is_short_and_says_how_to_run_it(script: str) -> None:
    text = (FOLDER / script).read_text("utf-8")
    assert len(text.splitlines()) <= MAX_LINES
    assert re.search(rf"^#? +(?:python )?examples/{re.escape(script)}", text, re.MULTILINE)


def options_of_fine_tuning() -> set[str]:
    """The options that the script defines, read from its source, as it imports torch."""
    found = set()
    for node in ast.walk(ast.parse((FOLDER / NEEDS_TORCH).read_text("utf-8"))):
        match node:
            case ast.Call(func=ast.Attribute(attr="add_argument"), args=[ast.Constant(str(name))]):
                found.add(name)
    return found


def commands_of_fine_tuning() -> list[tuple[str, str]]:
    """Program and arguments of each command that the script's docstring and its page print."""
    texts = [FOLDER / NEEDS_TORCH, ROOT / "docs" / "finetune.md"]
    line = re.compile(
        rf"^ {{4}}(python examples/{re.escape(NEEDS_TORCH)}|mobilenet-gateway) (.*)$", re.MULTILINE
    )
    return [found for text in texts for found in line.findall(text.read_text("utf-8"))]


@pytest.mark.parametrize(("program", "arguments"), commands_of_fine_tuning())
def test_fine_tuning_is_started_with_options_that_exist(
    capsys: pytest.CaptureFixture[str], program: str, arguments: str
) -> None:
    words = shlex.split(arguments, comments=True)
    if program == "mobilenet-gateway":
        assert cli_runner.run(capsys, *words, "--help").status == 0
    else:
        assert {word for word in words if word.startswith("--")} <= options_of_fine_tuning()


def test_fine_tuning_starts_from_the_weights_of_the_default_model() -> None:
    text = (FOLDER / NEEDS_TORCH).read_text("utf-8")
    [[name, file]] = zoo()[REAL_MODEL].files.items()
    assert f'Path("models/weights/{name}")' in text
    assert file.sha256 is not None
    assert f'Path("models/store/{REAL_MODEL}.onnx")' in text
