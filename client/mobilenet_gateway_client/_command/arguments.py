"""The arguments of `classify`."""

import argparse
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

from mobilenet_gateway_client._transport import DEFAULT_URL

DESCRIPTION = "Classify a folder through running gateways, or --local. Run it again to continue."
PATIENCE_S = 120.0
API_KEY_VARIABLE = "MOBILENET_GATEWAY_API_KEY"


class Arguments(argparse.Namespace):
    """The parsed arguments, and the parser that reports errors in them."""

    parser: argparse.ArgumentParser
    folder: Path
    output: Path | None
    embeddings: Path | None
    urls: list[str] | None
    model: str | None
    resolution: int | None
    top_k: int | None
    recursive: bool
    retry_failed: bool
    explain: Path | None
    concurrency: int | None
    patience_s: float | None
    api_key: str | None
    local: bool
    workers: int | None
    store: Path | None
    as_json: bool

    @property
    def addresses(self) -> list[str]:
        """The addresses of the gateways."""
        return self.urls or [DEFAULT_URL]

    @property
    def key(self) -> str | None:
        """The API key."""
        return self.api_key or os.environ.get(API_KEY_VARIABLE) or None

    @property
    def table(self) -> Path:
        """The file for the rows."""
        table = self.output or self.embeddings
        assert table is not None  # noqa: S101  the parser demands one
        return table


class Parser(argparse.ArgumentParser):
    """A parser that rejects abbreviations and ends every error with the way to the help."""

    def __init__(self, prog: str | None = None, **given: Any) -> None:
        super().__init__(prog, allow_abbrev=False, add_help=False, **given)
        self.add_argument("-h", "--help", action="help", help="Show this message and exit.")

    def error(self, message: str) -> NoReturn:
        self.print_usage(sys.stderr)
        sentence = f"{message[:1].upper()}{message[1:].rstrip('.')}."
        self.exit(2, f"Try '{self.prog} --help' for help.\n\nError: {sentence}\n")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.set_defaults(parser=parser)
    add = parser.add_argument
    add("folder", type=Path, help="Folder of images.")
    table = parser.add_mutually_exclusive_group(required=True)
    table.add_argument(
        "--output", type=Path, metavar="FILE",
        help="File for the rows: .csv, .jsonl or .parquet.",
    )  # fmt: skip
    table.add_argument(
        "--embeddings", type=Path, metavar="FILE",
        help="File for embeddings instead of classes: .parquet.",
    )  # fmt: skip
    add(
        "--url", dest="urls", action="append",
        help=f"Address of a gateway; several share the images (default: {DEFAULT_URL}).",
    )  # fmt: skip
    add(
        "--local", action="store_true",
        help="Classify on this machine without a service; needs mobilenet-gateway installed, too.",
    )  # fmt: skip
    add(
        "--workers", type=_whole_number(1, 1024), metavar="N",
        help="With --local: images at once (default: the usable cores).",
    )  # fmt: skip
    add(
        "--store", type=Path, metavar="FOLDER",
        help="With --local: folder of the models (default: that of the service).",
    )  # fmt: skip
    add("--model", help="A name from /models, or auto (default: the gateway's default model).")
    add(
        "--resolution", type=int, metavar="PIXELS",
        help="Side of the model's square input (default: the model's own).",
    )  # fmt: skip
    add(
        "--top-k", type=_whole_number(1, 100), metavar="N",
        help="Number of classes in each row, 1 to 100 (default: 5).",
    )  # fmt: skip
    add("--recursive", action="store_true", help="Include subfolders.")
    add(
        "--retry-failed", action="store_true",
        help="Classify files again whose row in an earlier run is an error.",
    )  # fmt: skip
    add(
        "--explain", type=Path, metavar="FOLDER",
        help="Folder for images that show where each label comes from.",
    )  # fmt: skip
    add(
        "--concurrency", type=_whole_number(1, 256), metavar="N",
        help="Concurrent requests, 1 to 256 (default: one more than the gateway has workers).",
    )  # fmt: skip
    add(
        "--patience-s", type=_seconds, metavar="SECONDS",
        help="How long to retry while the gateway is overloaded or unreachable (default: 120).",
    )  # fmt: skip
    add(
        "--api-key", metavar="KEY",
        help=f"API key. Other users of this machine cannot see it in {API_KEY_VARIABLE}.",
    )  # fmt: skip
    add("--json", dest="as_json", action="store_true", help="Print the summary as JSON.")


def check_arguments(arguments: Arguments) -> None:
    """End the process if they cannot be used; not while parsing, since `--help` comes first."""
    folder, output = arguments.folder, arguments.table
    if arguments.embeddings and arguments.top_k is not None:
        arguments.parser.error("argument --top-k: not allowed with argument --embeddings")
    if arguments.embeddings and arguments.explain:
        arguments.parser.error("argument --explain: not allowed with argument --embeddings")
    if "," in (arguments.model or "") and not arguments.embeddings:
        arguments.parser.error("argument --model: a table has the classes of one head")
    local = {"workers": arguments.workers, "store": arguments.store}
    remote = {
        "url": arguments.urls,
        "concurrency": arguments.concurrency,
        "patience-s": arguments.patience_s,
        "api-key": arguments.api_key,
        "explain": arguments.explain,  # `mobilenet-gateway predict` has it
    }
    for name, value in (remote if arguments.local else local).items():
        if value is not None:
            reason = "not allowed with" if arguments.local else "needs"
            arguments.parser.error(f"argument --{name}: {reason} argument --local")
    if not folder.is_dir():
        arguments.parser.error(f"argument folder: '{folder}' is not a folder")
    if not os.access(folder, os.R_OK):
        arguments.parser.error(f"argument folder: '{folder}' is not readable")
    if arguments.explain and arguments.explain.exists() and not arguments.explain.is_dir():
        arguments.parser.error(f"argument --explain: '{arguments.explain}' is not a folder")
    if output.is_dir():
        option = "--embeddings" if arguments.embeddings else "--output"
        arguments.parser.error(f"argument {option}: '{output}' is a folder")


def _whole_number(minimum: int, maximum: int) -> Callable[[str], int]:
    def parse(text: str) -> int:
        if text.isdecimal() and minimum <= int(text) <= maximum:
            return int(text)
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number, {minimum} to {maximum}")

    return parse


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if seconds >= 0:
        return seconds
    raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds, 0 or more")
