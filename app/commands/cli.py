"""`mobilenet-gateway`: the command line of the service.

`models` and its subcommands belong to the half that prepares models, `classify` to the client.
Where they are installed, the entry point group `mobilenet_gateway.commands` adds them: a Typer
application, or a function of program name and arguments that returns the exit status.
"""

import inspect
import sys
from collections.abc import Callable, Sequence
from importlib.metadata import EntryPoint, entry_points
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any, TypeAlias

import typer
from typer.core import TyperCommand

from app import __version__
from app.commands.predict import predict
from app.commands.serve import INSTALL, ending_in_one_line
from app.commands.serve import serve as run
from app.commands.teach import teach
from app.commands.watch import watch
from app.environment import CONFIG_VARIABLE, variable
from app.errors import SettingError
from app.settings import Settings
from app.shown_settings import shown_default

PROGRAM = "mobilenet-gateway"
COMMANDS = "mobilenet_gateway.commands"
OWN_COMMANDS = ("serve", "predict", "teach", "watch", "version")
NOT_IN_IMAGE = (
    "`{0}` is not part of the container image, which has: "
    f"{', '.join(OWN_COMMANDS)}. "
    "Run it in a checkout on another machine, after `{1}`. {2}"
)
INSTEAD = {
    "models": "To add a model, copy its .onnx file into the volume of /models.",
    "classify": "Here, `predict FOLDER` classifies images without a server.",
}
ArgumentsCommand: TypeAlias = Callable[[str, Sequence[str]], int]
cli = typer.Typer(
    name=PROGRAM,
    help="Serves MobileNet image classification on an edge gateway.",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def main() -> None:
    """Run a command; an error that a person can fix is printed as one line, without traceback."""
    if not {*sys.argv[1:2]} & {*OWN_COMMANDS}:
        _add_installed_commands()
    with ending_in_one_line(sys.argv[1] if sys.argv[1:] else ""):
        cli(prog_name=PROGRAM)


def setting_options(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command with `**given` an option for every setting."""
    config = typer.Option(help="TOML file with any of these settings.", envvar=CONFIG_VARIABLE)
    options: dict[str, Any] = {"config": Annotated[Path | None, config]}
    for name, field in Settings.model_fields.items():
        # Flags stay flags; the settings validate all other values.
        kind = bool | None if field.annotation is bool else str | None
        options[name] = Annotated[kind, _option(name)]
    parameters = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=option)
        for name, option in options.items()
    ]
    command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]  # read by Typer
    return command


def _option(name: str) -> Any:
    default, description = shown_default(name), Settings.model_fields[name].description
    shown = f" [default: {default}]" if default else ""
    return typer.Option(help=f"{description}{shown} [env: {variable(name)}]")


@cli.command()
@setting_options
def serve(config: Path | None, **given: Any) -> None:
    """Load the models and answer HTTP requests."""
    run(str(config or ""), {name: value for name, value in given.items() if value is not None})


cli.command()(predict)
cli.command()(teach)
cli.command()(watch)


@cli.command()
def version() -> None:
    """Print the version."""
    print(__version__)


class PassThrough(TyperCommand):
    """A command that passes its arguments, including `--help`, to a function."""

    # Any, because newer versions of Typer have their own copy of Click.
    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        ctx.args = list(args)
        return []


def _add_installed_commands() -> None:
    """Add the commands of other installed packages, and stand-ins for those that are missing.

    If the arguments name one of them, add only that one: loading the others takes time.
    """
    points = {point.name: point for point in entry_points(group=COMMANDS)}
    names = {*INSTALL, *points}
    for name in sorted(names & {*sys.argv[1:2]} or names):
        try:
            _add_command(name, _load(points.get(name)))
        except ModuleNotFoundError as error:
            _add_command(name, _failing(name, error))


def _load(point: EntryPoint | None) -> Any:
    if point is None:  # only the client is a distribution of its own
        raise ModuleNotFoundError(name="mobilenet_gateway_client")
    return point.load()


def _add_command(name: str, command: typer.Typer | ArgumentsCommand) -> None:
    """Add a command in place of an earlier one: `main` may run many times in a process."""
    cli.registered_groups[:] = [one for one in cli.registered_groups if one.name != name]
    cli.registered_commands[:] = [one for one in cli.registered_commands if one.name != name]
    if isinstance(command, typer.Typer):
        cli.add_typer(command, name=name)
        return

    @cli.command(name, cls=PassThrough, help=inspect.getdoc(command))
    def run(context: typer.Context) -> None:
        raise typer.Exit(command(context.command_path, context.args))


def _failing(name: str, error: ModuleNotFoundError) -> ArgumentsCommand:
    """A command that only reports the missing module."""

    def fail(*_: object) -> int:
        """Not installed here."""
        if find_spec("models") is None:  # any other install has it, with or without its extra
            raise SettingError(NOT_IN_IMAGE.format(name, INSTALL[name], INSTEAD[name]))
        raise error

    return fail
