"""Entry point of `mobilenet-gateway`."""

import sys

from app.system import signals


def main() -> None:
    """Run the command line; `serve` handles signals before its imports, which take long."""
    if sys.argv[1:2] == ["serve"]:
        signals.end_on_stop()
        from app.commands import serve

        with serve.ending_in_one_line("serve"):
            options = serve.plain_options(sys.argv[2:])
            if options is not None:
                serve.serve(options.pop("config", ""), options)
                return
    from app.commands import cli

    cli.main()
