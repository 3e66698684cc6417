"""`mobilenet-gateway`: the command line of the service.

`models` and its subcommands belong to the half that prepares models, `classify` to the client;
where they are installed, they are added through the entry point group `mobilenet_gateway.commands`.
"""

import inspect
import os
import sys
from collections.abc import Callable
from importlib.metadata import entry_points
from pathlib import Path
from typing import Annotated, Any

import typer

from app import __version__
from app.commands.predict import predict
from app.errors import GatewayError
from app.settings import CONFIG_VARIABLE, Settings, load_settings, variable

PROGRAM = "mobilenet-gateway"
COMMANDS = "mobilenet_gateway.commands"
EXTRAS = {"models": "build", "classify": "client"}  # what brings the modules of a command
NOT_INSTALLED = "Not installed here."
ANY_ARGUMENTS = {"ignore_unknown_options": True, "allow_extra_args": True}
cli = typer.Typer(
    name=PROGRAM,
    help="Serves MobileNet image classification on an edge gateway.",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def main() -> None:
    """Entry point; an error that a person can act on is one line, not a traceback."""
    if sys.argv[1:2] != ["serve"]:  # 3 MB and 30 ms that a service has better use for
        _add_installed_commands()
    try:
        cli(prog_name=PROGRAM)
    except GatewayError as error:
        sys.exit(f"error: {error}")
    except ModuleNotFoundError as error:  # the runtime image leaves out what does not serve
        command = sys.argv[1]
        extra = EXTRAS.get(command, "build")
        sys.exit(
            f"error: this needs the module {error.name}, which is not installed; "
            f"`pip install '.[{extra}]'` in a checkout brings all that `{command}` needs"
        )


def setting_options(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command that takes `**given` one option a setting, from the one list."""
    parameters = [
        inspect.Parameter(
            name,
            inspect.Parameter.KEYWORD_ONLY,
            default=None,
            annotation=Annotated[_option_type(field.annotation), _option(name)],
        )
        for name, field in Settings.model_fields.items()
    ]
    config = inspect.Parameter(
        "config",
        inspect.Parameter.KEYWORD_ONLY,
        default=None,
        annotation=Annotated[
            Path | None,
            typer.Option(
                help="TOML file with any of these settings.",
                show_envvar=True,
                envvar=CONFIG_VARIABLE,
            ),
        ],
    )
    command.__signature__ = inspect.Signature([config, *parameters])  # type: ignore[attr-defined]  # read by Typer
    return command


def _option(name: str) -> Any:
    field = Settings.model_fields[name]
    default = field.default
    if isinstance(default, tuple):
        default = ",".join(map(str, default))
    shown = "" if default in ("", None) else f" [default: {default}]"
    return typer.Option(help=f"{field.description}{shown} [env: {variable(name)}]")


def _option_type(annotation: Any) -> Any:
    """Flags stay flags; everything else arrives as text and is checked with the settings."""
    return bool | None if annotation is bool else str | None


@cli.command()
@setting_options
def serve(config: Path | None, **given: Any) -> None:
    """Load the models and answer HTTP requests."""
    from app.system import memory

    memory.begin_start()
    if config:
        os.environ[CONFIG_VARIABLE] = str(config)
    settings = load_settings({name: value for name, value in given.items() if value is not None})
    from app.service.lifecycle import signals_heeded

    with signals_heeded():
        from app.http.server import serve as run
        from app.service.gateway import open_gateway
        from app.telemetry import log

        log.set_up(settings)
        memory.map_large_blocks()
        run(settings, open_gateway(settings))


cli.command()(predict)


@cli.command()
def version() -> None:
    """Print the version."""
    print(__version__)


def _add_installed_commands() -> None:
    """Let other installed packages of this project add their commands."""
    for point in entry_points(group=COMMANDS):
        try:
            command = point.load()
            if isinstance(command, typer.Typer):
                cli.add_typer(command, name=point.name)
            else:
                cli.command(point.name)(command)
        except ModuleNotFoundError as error:
            stand_in = cli.command(point.name, help=NOT_INSTALLED, context_settings=ANY_ARGUMENTS)
            stand_in(_failing(error))


def _failing(error: Exception) -> Callable[[], None]:
    """A command that only says why it is not there."""

    def fail() -> None:
        raise error

    return fail
