"""The classifier without a server, by a name that no other package has.

    from mobilenet_gateway import Classifier

This is `app.library`. Its package `app` is easily hidden by an `app.py` or a folder `app` beside a
program, so this one looks first, and names what is in the way.
"""

from importlib.util import find_spec
from pathlib import Path


def _check_app() -> None:
    """Check that `app` is that of this distribution, without running what else it may be."""
    found = find_spec("app")
    ours = Path(__file__).resolve().parent.with_name("app") / "__init__.py"
    if found is None or not found.origin or Path(found.origin).resolve() != ours:
        raise ImportError(
            f"{found.origin if found else 'Nothing'} is imported as `app`, not {ours}. Rename it, "
            "run the program from another folder, or as `python -P`."
        )


_check_app()

from app.library import Classification, Classifier  # noqa: E402  after the check

__all__ = ["Classification", "Classifier"]
