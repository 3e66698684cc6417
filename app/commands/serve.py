"""`mobilenet-gateway serve`, without Typer where its arguments are plain.

What this imports before the model is loaded delays the first answer.
"""

import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from app.errors import GatewayError

INSTALL = {"models": "pip install '.[build]'", "classify": "pip install ./client"}


def serve(config: str, given: Mapping[str, Any]) -> None:
    """Load the models and answer HTTP requests, with these settings and a file of others."""
    from app.environment import CONFIG_VARIABLE
    from app.settings_sources import load_settings
    from app.system import memory

    memory.pause_garbage_collection()
    if config:
        os.environ[CONFIG_VARIABLE] = config
    settings = load_settings(given)
    from concurrent.futures import ThreadPoolExecutor

    from app.service.gateway import open_gateway
    from app.telemetry import log

    log.set_up(settings.log_format, settings.log_level)
    memory.map_large_blocks()
    with ThreadPoolExecutor(1) as pool:  # onnxruntime loads without the GIL
        opening = pool.submit(open_gateway, settings)
        from app.http.server import serve as run
    run(settings, opening.result())


def plain_options(arguments: Sequence[str]) -> dict[str, Any] | None:
    """The options of `serve` and their values; None if Typer has to read or explain them."""
    from app.settings import Settings

    fields, found = Settings.model_fields, dict[str, Any]()
    rest = iter(arguments)
    for argument in rest:
        option, equals, value = argument.partition("=")
        name = option.removeprefix("--").replace("-", "_")
        flag = name.removeprefix("no_")
        if not option.startswith("--") or "_" in option:
            return None
        if flag in fields and fields[flag].annotation is bool:
            if equals:
                return None
            found[flag] = flag == name
            continue
        if not equals:
            value = next(rest, "")
        if (name not in fields and name != "config") or not value or value.startswith("-"):
            return None
        found[name] = value
    return found


@contextmanager
def ending_in_one_line(command: str) -> Iterator[None]:
    """End with one line, without traceback, for an error that a person can fix."""
    try:
        yield
    except GatewayError as error:
        sys.exit(f"error: {error}")
    except ModuleNotFoundError as error:  # the runtime image has only what serves
        install = INSTALL.get(command, "pip install .")
        sys.exit(
            f"error: `{command}` needs the module {error.name}, which is not installed. "
            f"Run `{install}` in a checkout."
        )
