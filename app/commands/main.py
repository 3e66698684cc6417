"""Entry point of `mobilenet-gateway`."""

import sys

from app.system import signals


def main() -> None:
    """Run the command line; `serve` handles signals before its imports, which take long."""
    if sys.argv[1:2] == ["serve"]:
        signals.end_on_stop()
    from app.commands import cli

    cli.main()
