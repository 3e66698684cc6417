"""`mobilenet-gateway models ...`: prepare models and tell what they cost."""

import typer

from models.adoption.command import import_model
from models.cost_command import cost
from models.evaluate_command import evaluate
from models.export_command import export_untrained
from models.quantize_command import quantize
from models.recommend_command import recommend
from models.zoo_commands import list_models, pull, show_model

commands = typer.Typer(
    help="Prepare models and tell what they cost.", no_args_is_help=True, rich_markup_mode=None
)
commands.command("list")(list_models)
commands.command()(pull)
commands.command("export")(export_untrained)
commands.command("import")(import_model)
commands.command()(quantize)
commands.command()(evaluate)
commands.command()(cost)
commands.command()(recommend)
commands.command("show")(show_model)
