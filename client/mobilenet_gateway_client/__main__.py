"""`mobilenet-gateway-client`, or `python -m mobilenet_gateway_client`: the command line."""

import sys

from mobilenet_gateway_client import __version__
from mobilenet_gateway_client._command.arguments import (
    DESCRIPTION,
    Arguments,
    Parser,
    add_arguments,
)
from mobilenet_gateway_client._command.classify import run

PROGRAM = "mobilenet-gateway-client"


def main() -> None:
    parser = Parser(PROGRAM, description="Client of mobilenet-gateway.")
    parser.add_argument(
        "--version", action="version", version=__version__, help="Print the version."
    )
    commands = parser.add_subparsers(metavar="COMMAND", dest="COMMAND", required=True)
    add_arguments(commands.add_parser("classify", help=DESCRIPTION, description=DESCRIPTION))
    sys.exit(run(parser.parse_args(namespace=Arguments())))


if __name__ == "__main__":
    main()
