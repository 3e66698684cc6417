"""`mobilenet-gateway models`: the commands that prepare models."""

import typer

from models.commands.cost import cost
from models.commands.evaluate import evaluate
from models.commands.export import export_model
from models.commands.import_model import import_model
from models.commands.quantize import quantize
from models.commands.recommend import recommend
from models.commands.zoo import list_models, pull, show_model

commands = typer.Typer(
    help="Download, import, quantize, evaluate and compare models.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
commands.command("list")(list_models)
commands.command("show")(show_model)
commands.command()(cost)
commands.command()(recommend)
commands.command()(pull)
commands.command("export")(export_model)
commands.command("import")(import_model)
commands.command()(quantize)
commands.command()(evaluate)
