"""Every text that a user of the project reads, with its file and line."""

import ast
import inspect
import re
from collections.abc import Callable, Iterator
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, NamedTuple

import typer
from mobilenet_gateway_client._command.arguments import DESCRIPTION, Parser, add_arguments

from app.commands.cli import COMMANDS, cli
from app.http.application import Application
from app.settings import Settings
from tests.conftest import ROOT

CODE = ("app", "mobilenet_gateway", "models", "client")
GENERATED = re.compile(r"<!-- (\w+) -->.*?<!-- /\1 -->", re.DOTALL)
LOG_LEVELS = ("debug", "info", "warning", "error", "exception", "critical")
TEXT_CALLS = ("Field", "_counter", "_histogram", "_gauge")  # settings and metrics with their texts


class Text(NamedTuple):
    """A text, or a whole file, and where it begins."""

    path: Path
    line: int
    words: str


def docs() -> Iterator[Text]:
    """Pages in Markdown, without the tables that code generates: their texts are in the code."""
    pages = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "client" / "README.md"]
    pages += [*ROOT.glob("docs/*.md"), *ROOT.glob("deploy/**/*.md")]
    for path in sorted(pages):
        if path.name != "glossary.md" and path.is_file():
            yield Text(path, 1, GENERATED.sub(_blank, path.read_text("utf-8")))


def page() -> Iterator[Text]:
    """The web page with its scripts and styles, without what others wrote."""
    for path in sorted(ROOT.glob("app/http/static/*")):
        if path.suffix in {".html", ".js", ".css"}:
            yield Text(path, 1, path.read_text("utf-8"))


def help_texts() -> Iterator[Text]:
    """What `--help` prints for every command, the installed ones included."""
    found = [cli, *(point.load() for point in entry_points(group=COMMANDS))]
    for app in found:
        if isinstance(app, typer.Typer):
            yield from _help(typer.main.get_command(app))
    parser = Parser("classify", description=DESCRIPTION)
    add_arguments(parser)
    yield Text(Path(inspect.getfile(Parser)), 1, parser.format_help())


def error_texts() -> Iterator[Text]:
    """Texts of raised errors, and the summaries of error classes, which docs/api.md prints."""
    trees = list(_sources())
    errors = _error_classes([tree for _, tree in trees])
    for path, tree in trees:
        for node in ast.walk(tree):
            if isinstance(node, ast.Raise) and node.exc:
                yield from _literals(path, node.exc)
            elif isinstance(node, ast.Call) and _name(node.func) in errors:
                yield from _literals(path, node)
            elif (
                isinstance(node, ast.ClassDef) and node.name in errors and path.parent.name == "app"
            ):
                yield Text(path, node.lineno, ast.get_docstring(node) or "")


def settings() -> Iterator[Text]:
    """Descriptions of settings."""
    yield from _texts_of_calls(ROOT / "app" / "settings.py")


def metrics() -> Iterator[Text]:
    """Help texts of metrics."""
    yield from _texts_of_calls(ROOT / "app" / "telemetry" / "metrics.py")


def logs() -> Iterator[Text]:
    """Log messages."""
    for path, tree in _sources():
        for node in ast.walk(tree):
            if (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Attribute)
                and node.func.attr in LOG_LEVELS
                and _name(node.func.value) in ("log", "logger")
            ):
                yield from _literals(path, node)


def openapi() -> Iterator[Text]:
    """Titles and descriptions of the API reference, with the line of `app` that they begin on."""
    found = _described(Application(Settings()).api.openapi())
    lines = [
        (path, number, line)
        for path in sorted((ROOT / "app").rglob("*.py"))
        for number, line in enumerate(path.read_text("utf-8").splitlines(), start=1)
    ]
    for text in sorted(set(found)):
        start = text.split("\n")[0][:30]
        places = (Text(path, number, text) for path, number, line in lines if start in line)
        yield next(places, Text(ROOT / "app", 1, text))


SOURCES: dict[str, Callable[[], Iterator[Text]]] = {
    "docs": docs,
    "page": page,
    "help": help_texts,
    "errors": error_texts,
    "settings": settings,
    "metrics": metrics,
    "logs": logs,
    "openapi": openapi,
}


def _help(command: Any) -> Iterator[Text]:
    """Typer's commands have no public type, since Typer brings its own copy of Click."""
    texts = [command.help]
    for option in command.params:
        if option.name not in Settings.model_fields:  # `settings` has these
            texts.append(getattr(option, "help", None))
    for text in filter(None, texts):
        yield _located(text, command.callback)
    for below in getattr(command, "commands", {}).values():
        yield from _help(below)


def _located(text: str, callback: Callable[..., Any] | None) -> Text:
    """A help text with the line of its command's module that it begins on."""
    if callback is None:
        return Text(ROOT / "app" / "commands" / "cli.py", 1, text)
    code = inspect.unwrap(callback).__code__
    path = Path(code.co_filename)
    lines = path.read_text("utf-8").splitlines()
    start = text.split("\n")[0][:30]
    from_here = range(code.co_firstlineno, len(lines) + 1)
    line = next((at for at in from_here if start in lines[at - 1]), code.co_firstlineno)
    return Text(path, line, text)


def _described(part: Any) -> Iterator[str]:
    """All descriptions below a part of the OpenAPI document."""
    if isinstance(part, dict):
        for name, value in part.items():
            if name in ("description", "summary", "title") and isinstance(value, str):
                yield value
            yield from _described(value)
    elif isinstance(part, list):
        for value in part:
            yield from _described(value)


def _sources() -> Iterator[tuple[Path, ast.Module]]:
    for folder in CODE:
        for path in sorted((ROOT / folder).rglob("*.py")):
            yield path, ast.parse(path.read_text("utf-8"))


def _error_classes(trees: list[ast.Module]) -> set[str]:
    """Names of all exceptions that the project defines."""
    classes = [node for tree in trees for node in ast.walk(tree) if isinstance(node, ast.ClassDef)]
    found = {"Exception", "ValueError", "Exit", "ClickException"}
    while True:
        more = {
            node.name
            for node in classes
            if node.name not in found and any(_name(base) in found for base in node.bases)
        }
        if not more:
            return found
        found |= more


def _texts_of_calls(path: Path) -> Iterator[Text]:
    """The literals of a module's calls that define something with a text for users."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Call) and any(
            (_name(node.func) or "").startswith(name) for name in TEXT_CALLS
        ):
            yield from _literals(path, node)


def _literals(path: Path, node: ast.AST) -> Iterator[Text]:
    """String literals below a node; what an f-string inserts becomes an ellipsis."""
    inside: set[ast.AST] = set()
    for part in ast.walk(node):
        if isinstance(part, ast.JoinedStr):
            inside.update(ast.walk(part))
            pieces = (
                str(value.value) if isinstance(value, ast.Constant) else "…"
                for value in part.values
            )
            yield Text(path, part.lineno, "".join(pieces))
        elif isinstance(part, ast.Constant) and isinstance(part.value, str) and part not in inside:
            yield Text(path, part.lineno, part.value)


def _name(node: ast.AST) -> str | None:
    if isinstance(node, ast.Name):
        return node.id
    return node.attr if isinstance(node, ast.Attribute) else None


def _blank(block: re.Match[str]) -> str:
    """As many lines as before, so that the numbers of those behind it stay right."""
    return "\n" * block[0].count("\n")
