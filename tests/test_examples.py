"""The scripts of examples/, run as their docstrings say, against a running service."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from tests.app.sample_images import chelsea, encode, noise
from tests.conftest import ROOT, SMALL_V1, SMALL_V2
from tests.processes import COMMAND

FOLDER = ROOT / "examples"
LABEL = r"\S.*"
RANKED = rf" *[\d.]+%  {LABEL}\n"
MAX_LINES = 40
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
    assert SCRIPTS.keys() == {path.name for path in FOLDER.iterdir() if path.is_file()}


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
