"""A broker of its own for a measurement: Mosquitto on a free port, if it is installed."""

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

from loadtest.host.server import free_port

MOSQUITTO = shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin:/usr/bin:/usr/local/bin")


def has_broker() -> bool:
    """Whether Mosquitto and the extra `mqtt` are installed."""
    return MOSQUITTO is not None and find_spec("aiomqtt") is not None


@contextmanager
def broker(folder: Path) -> Iterator[int]:
    """The port of a running broker."""
    assert MOSQUITTO  # noqa: S101  `has_broker` was asked
    port, config = free_port(), folder / "mosquitto.conf"
    config.write_text(f"listener {port} 127.0.0.1\nuser root\nallow_anonymous true\n", "utf-8")
    process = subprocess.Popen([MOSQUITTO, "-c", str(config)], stderr=subprocess.DEVNULL)
    try:
        yield port
    finally:
        process.kill()
        process.wait()
