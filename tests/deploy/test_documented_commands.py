"""Every command that the pages on deployment print: run here, or listed with the reason why not."""

import os
import re
import shutil
import ssl
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from app.settings import Settings
from tests.conftest import REAL_MODEL, ROOT
from tests.deploy import compose_file
from tests.exports import export_random
from tests.serving import served

NAMES = ("container.md", "operations.md", "tls.md")
PAGES = [*sorted((ROOT / "deploy").glob("*.md")), *(ROOT / "docs" / name for name in NAMES)]
PROGRAMS = (
    "cat", "curl", "docker", "echo", "git", "install", "kubectl", "make", "mkdir",
    "mobilenet-gateway", "openssl", "pip", "python3", "sudo", "systemctl", r"/opt/\S+",
)  # fmt: skip
ASSIGNMENTS = r"(?:[A-Z][A-Z_]*=\S+ )*"
COMMAND = re.compile(rf"{ASSIGNMENTS}(?:{'|'.join(PROGRAMS)})(?: |$)")
INLINE = re.compile(rf"`({ASSIGNMENTS}(?:curl|docker compose) [^`]+)`")
COMPOSE = re.compile(rf"^{ASSIGNMENTS}docker compose ((?:--[a-z-]+ \S+ )*)([a-z]+) ?(.*)$")
HERE = re.compile(rf"^{ASSIGNMENTS}curl [^|]*localhost:8000")

# How a command begins, and why it does not run here.
NOT_RUN = {
    "curl -fsSL https://get.docker.com": "it installs Docker from the internet",
    "curl --cacert": "test_caddy.py asks Caddy, tests/container/test_tls.py a container",
    "docker build": "tests/container tests an image that is built in this way",
    "docker buildx build": "it takes the requirements of OpenVINO from the internet",
    "docker run": "tests/container runs the image with these options",
    "docker save": "there is no other machine",
    "docker tag": "it names an image",
    "git pull": "it needs the project's repository",
    "install -m 644": "it changes /etc; test_systemd.py checks the unit",
    "kubectl": "there is no cluster; test_kubernetes.py checks the manifests",
    "make": "tests/test_documented_commands.py looks for the targets",
    "mobilenet-gateway": "tests/test_documented_commands.py checks the options",
    "pip install": "tests/test_documented_commands.py checks the extras",
    "python3 -m venv /opt": "it changes /opt",
    "/opt/mobilenet-gateway/bin": "it changes /opt",
    "echo": "it writes a file that the next command reads",
    "sudo": "it changes users or owners of this machine",
    "systemctl": "systemd does not run where tests do; test_systemd.py checks the unit",
}


class Printed(NamedTuple):
    """A command and its page."""

    page: str
    command: str


def blocks(text: str) -> Iterator[list[str]]:
    """The indented blocks of a page, as commands: with their continuation lines and documents."""
    for block in re.findall(r"(?:^(?: {4,}.*)\n)+", text, re.MULTILINE):
        lines = re.sub(r"^ {4,10}", "", block, flags=re.MULTILINE).replace("\\\n", "")
        yield re.sub(r"<<'END'\n.*?\nEND$", "<<'END'", lines, flags=re.S | re.M).splitlines()


def printed() -> Iterator[Printed]:
    for page in PAGES:
        text = page.read_text("utf-8")
        for lines in blocks(text):
            if COMMAND.match(lines[0]):
                yield from (Printed(page.name, " ".join(line.split())) for line in lines)
        yield from (Printed(page.name, command) for command in INLINE.findall(text))


def reason_not_to_run(command: str) -> str | None:
    bare = re.sub(f"^{ASSIGNMENTS}", "", command)
    return next((NOT_RUN[start] for start in NOT_RUN if bare.startswith(start)), None)


COMMANDS = sorted(set(printed()))
REQUESTS = [one for one in COMMANDS if HERE.match(one.command)]
COMPOSED = [one for one in COMMANDS if COMPOSE.match(one.command)]


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    store = tmp_path_factory.mktemp("store")
    assert export_random(store, "mobilenet_v2", 1.0, 224).stem == REAL_MODEL
    with served(Settings(store=store)) as client:
        yield str(client.base_url).removeprefix("http://").rstrip("/")


@pytest.mark.parametrize(("page", "command"), COMMANDS)
def test_a_command_is_one_that_a_shell_reads(page: str, command: str) -> None:
    text = f"{command}\nEND\n" if "<<'END'" in command else command
    done = subprocess.run(["bash", "-n", "-c", text], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, ""), page


def test_a_command_runs_here_or_is_listed_with_the_reason_why_not() -> None:
    run = {*REQUESTS, *COMPOSED, *openssl()}
    left = [one for one in COMMANDS if one not in run and not reason_not_to_run(one.command)]
    assert left == []


def test_no_reason_is_for_a_command_that_no_page_prints() -> None:
    bare = [re.sub(f"^{ASSIGNMENTS}", "", one.command) for one in COMMANDS]
    assert [start for start in NOT_RUN if not any(one.startswith(start) for one in bare)] == []


@pytest.mark.skipif(shutil.which("curl") is None, reason="needs curl: `apt-get install curl`")
@pytest.mark.parametrize(("page", "command"), REQUESTS)
def test_a_request_is_answered(page: str, command: str, address: str) -> None:
    sent = command.replace("localhost:8000", address)
    sent = sent.replace("curl ", "curl --silent --fail-with-body ", 1)
    done = subprocess.run(
        ["bash", "-o", "pipefail", "-c", sent],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, f"{page}: {done.stdout}{done.stderr}"


@pytest.mark.parametrize(("page", "command"), COMPOSED)
def test_a_command_of_compose_names_what_there_is(page: str, command: str) -> None:
    found = COMPOSE.match(command)
    assert found
    services = compose_file.services({})
    profiles = {name for service in services.values() for name in service["profiles"]}
    options = found[1].split()
    for option, value in zip(options[::2], options[1::2], strict=True):
        if option == "--profile":
            assert value in profiles, page
        else:
            assert option == "--env-file"
            assert (ROOT / value).is_file() or value == "keys.env", page
    words = found[3].split()
    if found[2] == "cp":
        names = {word.partition(":")[0] for word in words if ":/" in word}
        assert names <= services.keys()
        assert len(names) == 1
    elif found[2] in ("exec", "logs"):
        assert words[0] in services
    else:
        assert found[2] == "up"
        assert set(words[: words.index("#") if "#" in words else None]) <= {
            "-d", "--build", "--no-build",
        }  # fmt: skip


def openssl() -> list[Printed]:
    """The commands that make a certificate, in order."""
    text = (ROOT / "docs" / "tls.md").read_text("utf-8")
    [lines] = [lines for lines in blocks(text) if any("openssl" in line for line in lines)]
    chosen = [" ".join(line.split()) for line in lines if line.startswith(("mkdir", "openssl"))]
    return [Printed("tls.md", line) for line in chosen]


@pytest.mark.skipif(shutil.which("openssl") is None, reason="needs openssl")
def test_the_printed_commands_make_a_certificate_and_a_key_for_one_reader(tmp_path: Path) -> None:
    for _, command in openssl():
        subprocess.run(
            ["bash", "-c", command], cwd=tmp_path, check=True, capture_output=True,
            env={"PATH": os.environ["PATH"]},
        )  # fmt: skip
    cert, key = tmp_path / "tls/cert.pem", tmp_path / "tls/key.pem"
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(cert, key)
    done = subprocess.run(
        ["openssl", "x509", "-in", cert, "-noout", "-ext", "subjectAltName"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert "DNS:gateway.local, IP Address:192.168.1.10" in done.stdout


def test_commands_of_every_page_are_found() -> None:
    assert {one.page for one in COMMANDS} == {page.name for page in PAGES}
    assert any("examples/cat.jpg" in one.command for one in REQUESTS)
    assert len(COMPOSED) > 10
