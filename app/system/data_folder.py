"""Where models are kept, unless the setting `store` names another folder."""

import os
from pathlib import Path

STORE = Path("models/store")  # below a checkout
CHECKOUT = Path(__file__).resolve().parents[2]
SHOWN = "models/store in a checkout, ~/.local/share/mobilenet-gateway/store elsewhere"


def default_store() -> Path:
    """The same folder from wherever a command is started.

    In order: `models/store` below the working folder; that of the checkout which is installed; the
    user's data folder, as the XDG Base Directory Specification defines it.
    """
    if STORE.is_dir() or is_checkout(Path()):
        return STORE
    if is_checkout(CHECKOUT):
        return CHECKOUT / STORE
    return _data_home() / "mobilenet-gateway" / "store"


def is_checkout(folder: Path) -> bool:
    return (folder / "pyproject.toml").is_file() and (folder / "models" / "zoo").is_dir()


def _data_home() -> Path:
    named = os.environ.get("XDG_DATA_HOME", "")
    if named.startswith("/"):  # a relative one must be ignored
        return Path(named)
    try:
        return Path.home() / ".local" / "share"
    except RuntimeError:  # a user without home folder
        return Path("/var/lib")
