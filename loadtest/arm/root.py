"""An ARM64 root for qemu's user mode: Debian's Python and the wheels of the image.

Debian's packages come from this machine's own apt sources, with an apt configuration of its own, so
that nothing is installed here. The wheels are those that `requirements` pins by hash for the image.
"""

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from importlib.metadata import distributions
from pathlib import Path

from loadtest.host.model_store import ROOT

FOLDER = ROOT / "build" / "arm"  # not committed
PACKAGES = ("python3", "libstdc++6", "zlib1g")
PYTHON = "3.11"  # of the image, for which the requirements are pinned
PLATFORMS = ("manylinux_2_28_aarch64", "manylinux_2_17_aarch64", "manylinux2014_aarch64")
REQUIREMENTS = tuple(ROOT / "requirements" / name for name in ("runtime.txt", "onnxruntime.txt"))

APT = """\
APT::Architecture "arm64";
APT::Architectures {{ "arm64"; }};
APT::Install-Recommends "false";
APT::Sandbox::User "";
Dir::State "{folder}";
Dir::State::status "{folder}/status";
Dir::Cache "{folder}";
"""


class NoRoot(Exception):
    """The root cannot be made; the text names what is missing."""


@dataclass(frozen=True, slots=True)
class GuestRoot:
    """Folders of the guest: its system, and what its Python imports besides this checkout.

    Without `bytecode` Python would compile all that it imports again, under emulation.
    """

    system: Path
    site: Path
    bytecode: Path

    @property
    def python(self) -> Path:
        return self.system / "usr" / "bin" / f"python{PYTHON}"

    def releases(self, names: Iterable[str]) -> dict[str, str]:
        """The releases of installed packages."""
        found = {one.name.lower(): one.version for one in distributions(path=[str(self.site)])}
        return {name: found[name] for name in names}


def guest_root(folder: Path = FOLDER) -> GuestRoot:
    """The root in `folder`, made there first if it is missing or its packages are not pinned now.

    Raises:
        NoRoot: a tool, a package or a wheel is missing.
    """
    root = GuestRoot(folder / "root", folder / "site", folder / "bytecode")
    made, wanted = folder / "made", _fingerprint()
    if made.is_file() and made.read_text("utf-8") == wanted:
        return root
    if missing := [tool for tool in ("apt-get", "dpkg-deb") if not shutil.which(tool)]:
        raise NoRoot(f"{' and '.join(missing)} not found: the root is made of Debian's packages.")
    made.unlink(missing_ok=True)
    folder.mkdir(parents=True, exist_ok=True)
    _unpack_system(root.system, folder / "apt")
    if not root.python.is_file():
        raise NoRoot(f"The apt sources of this machine give no Python {PYTHON}; Debian 12 has it.")
    _install_wheels(root.site)
    made.write_text(wanted, "utf-8")
    return root


def _fingerprint() -> str:
    content = b"".join(path.read_bytes() for path in REQUIREMENTS)
    return hashlib.sha256(repr((content, PACKAGES, PYTHON)).encode()).hexdigest()


def _unpack_system(system: Path, apt: Path) -> None:
    shutil.rmtree(system, ignore_errors=True)
    shutil.rmtree(apt, ignore_errors=True)
    for name in ("lists", "archives"):
        (apt / name / "partial").mkdir(parents=True)
    (apt / "status").touch()
    configuration = apt / "apt.conf"
    configuration.write_text(APT.format(folder=apt.resolve()), "utf-8")
    environment = {**os.environ, "APT_CONFIG": str(configuration)}
    _run(["apt-get", "--quiet", "--quiet", "update"], environment)
    options = ["--quiet", "--quiet", "--yes", "--download-only"]
    _run(["apt-get", *options, "install", *PACKAGES], environment)
    for package in sorted((apt / "archives").glob("*.deb")):
        _run(["dpkg-deb", "--extract", str(package), str(system)])
    shutil.rmtree(apt)


def _install_wheels(site: Path) -> None:
    shutil.rmtree(site, ignore_errors=True)
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-compile",
               "--require-hashes", "--only-binary=:all:", "--python-version", PYTHON,
               "--target", str(site)]  # fmt: skip
    for platform in PLATFORMS:
        command += ["--platform", platform]
    for path in REQUIREMENTS:
        command += ["--requirement", str(path)]
    _run(command)


def _run(command: list[str], environment: dict[str, str] | None = None) -> None:
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        lines = (done.stderr or done.stdout).strip().splitlines()[-5:]
        raise NoRoot("\n".join([f"{command[0]} failed:", *lines]))
