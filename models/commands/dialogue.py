"""What is missing for an import, as a message or as JSON, with the command line that states it."""

import json
from collections.abc import Iterator, Sequence
from shlex import quote, split
from typing import TYPE_CHECKING, Any

import typer
from rich.table import Table

from models.commands import terminal
from models.commands.tables import plain_table

if TYPE_CHECKING:
    from models.importing.dialogue.missing import Missing
    from models.importing.dialogue.trials import Trial

PROGRAM = "mobilenet-gateway models import"
JSON = "--json"
SCALING = "--mean "


def tell_missing(context: typer.Context, missing: "Missing", as_json: bool) -> None:
    """Print what is missing, and end with status 1.

    Raises:
        typer.Exit: JSON was printed to stdout.
        CommandError: the message is for the terminal.
    """
    commands = [command_line(context, answers) for answers in _usual_answers(missing)]
    if as_json:
        questions = [
            {
                "option": one.option,
                "why": one.why,
                "choices": [answer.arguments for answer in one.choices],
                "meanings": [answer.meaning for answer in one.choices],
            }
            for one in missing.questions
        ]
        data: dict[str, Any] = {"missing": questions, "command": commands[0]}
        if missing.trials:
            data["photos"] = trial_rows(missing.trials)
        print(json.dumps(data, indent=2))
        raise typer.Exit(1)
    heading = "Run it with the answers:" if len(commands) == 1 else "Run the one that is true:"
    raise terminal.CommandError("\n  ".join([f"{missing}\n{heading}", *commands]))


def command_line(context: typer.Context, answers: Sequence[str]) -> str:
    """The command as it was given, with these answers in addition."""
    stated = {part for answer in answers for part in split(answer) if part.startswith("--")}
    parts = [PROGRAM]
    for option in context.command.params:
        source = context.get_parameter_source(option.name or "")
        names = {*option.opts, *option.secondary_opts}
        if source is None or source.name != "COMMANDLINE" or names & (stated | {JSON}):
            continue
        value = context.params[option.name or ""]
        if option.param_type_name == "argument":
            parts.append(quote(str(value)))
        elif isinstance(value, bool):
            parts.append((option.opts if value else option.secondary_opts)[0])
        else:
            parts.append(f"{option.opts[0]} {quote(str(value))}")
    return " ".join([*parts, *answers])


def trial_rows(trials: Sequence["Trial"]) -> list[dict[str, Any]]:
    return [
        {
            "scaling": one.way.name,
            "order": "BGR" if one.way.bgr else "RGB",
            "top1": round(one.accuracy, 2),
            "photos": len(one.correct),
            "arguments": one.way.arguments,
        }
        for one in trials
    ]


def trial_table(trials: Sequence["Trial"]) -> Table:
    """The accuracy of every scaling that was tried, the best first."""
    rows = [
        (f"{one.way.name}, {'BGR' if one.way.bgr else 'RGB'}", f"{one.accuracy:.1f} %")
        for one in trials
    ]
    return plain_table(f"tried on {len(trials[0].correct)} photos", "top-1", rows=rows)


def _usual_answers(missing: "Missing") -> Iterator[list[str]]:
    """An answer to every question: the first one, and of scalings each that is spelled out."""
    first = [one.choices[0].arguments for one in missing.questions]
    for at, question in enumerate(missing.questions):
        scalings = [one.arguments for one in question.choices if one.arguments.startswith(SCALING)]
        if scalings:
            yield from ([*first[:at], scaling, *first[at + 1 :]] for scaling in scalings)
            return
    yield first
