"""`mobilenet-gateway`: the command line of the service.

`models` and its subcommands belong to the half that prepares models, `classify` to the client;
where they are installed, they are added through the entry point group `mobilenet_gateway.commands`.
"""

import inspect
import json
import os
import sys
from collections.abc import Callable
from importlib.metadata import entry_points
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from app import __version__
from app.errors import GatewayError, RequestError, SettingError
from app.settings import CONFIG_VARIABLE, Settings, load_settings, variable

if TYPE_CHECKING:
    from rich.table import Table

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
            f"`pip install 'mobilenet-gateway[{extra}]'` brings all that `{command}` needs"
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
    from app import memory

    memory.begin_start()
    if config:
        os.environ[CONFIG_VARIABLE] = str(config)
    settings = load_settings({name: value for name, value in given.items() if value is not None})
    from app.lifecycle import signals_heeded

    with signals_heeded():
        from app import log
        from app.gateway import open_gateway
        from app.server import serve as run

        log.set_up(settings)
        memory.map_large_blocks()
        run(settings, open_gateway(settings))


@cli.command()
def predict(
    files: Annotated[list[Path], typer.Argument(help="Images to classify.", show_default=False)],
    model: Annotated[str | None, typer.Option(help="A model of the store.")] = None,
    top_k: Annotated[int, typer.Option(min=1, max=100, help="How many classes to rank.")] = 5,
    resolution: Annotated[int | None, typer.Option(help="Side of the square to look at.")] = None,
    store: Annotated[Path | None, typer.Option(help="Folder of the .onnx files.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
) -> None:
    """Classify files here, without a server."""
    settings = load_settings({"store": store} if store else {})
    # Rich only here: what serves does without the 3 MB that it takes.
    from rich.console import Console
    from rich.progress import track

    from app.classify import Classifier
    from app.images import ImageLimits
    from app.model import load_model
    from app.store import AUTO, Selection, Store

    name = model or settings.default_model
    if name == AUTO:
        raise SettingError("auto chooses by the load of a service; name a model with --model")
    selection = Selection(settings.store, (name,), name, settings.allow_untrained)
    loaded = Store(selection, load_model).get(name)
    side = loaded.check_resolution(resolution)
    limits = ImageLimits(settings.max_pixels, settings.min_side_pixels)
    classifier = Classifier(limits, settings.reduced_decode)
    answers: list[dict[str, Any]] = []
    stderr = Console(stderr=True)
    quiet = not stderr.is_terminal
    for file in track(files, "classifying", console=stderr, transient=True, disable=quiet):
        answer: dict[str, Any] = {"file": str(file)}
        try:
            data = file.read_bytes()
            result = classifier.classify(data, model=loaded, resolution=side, top_k=top_k)
            answer |= result.model_dump(exclude_none=True)
        except RequestError as error:
            answer["error"] = error.detail
        except OSError as error:
            answer["error"] = error.strerror or str(error)
        answers.append(answer)
    if as_json:
        print(json.dumps({"model": name, "resolution": side, "results": answers}, indent=2))
    else:
        Console().print(_prediction_table(answers, f"{name} at {side}"))
    if any("error" in answer for answer in answers):
        raise typer.Exit(1)


def _prediction_table(answers: list[dict[str, Any]], title: str) -> "Table":
    from rich import box
    from rich.markup import escape
    from rich.table import Table

    table = Table("file", "label", "probability", "decode", "inference", title=title)
    table.box = box.SIMPLE_HEAD
    for answer in answers:
        file = escape(Path(answer["file"]).name)
        if "error" in answer:
            table.add_row(file, f"[red]{escape(answer['error'])}[/red]")
            continue
        times = [f"{answer[key]:.1f} ms" for key in ("decode_ms", "inference_ms")]
        for prediction in answer["predictions"]:
            table.add_row(file, prediction["label"], f"{prediction['probability']:.3f}", *times)
            file, times = "", []
        table.add_section()
    return table


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
