"""`mobilenet-gateway models import`."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Group, RenderableType
from rich.text import Text

from app.commands import console
from app.images.limits import ImageLimits
from app.settings_sources import load_settings
from models.commands import terminal
from models.commands.dialogue import tell_missing, trial_rows, trial_table
from models.commands.tables import plain_table

if TYPE_CHECKING:
    from models.importing.dialogue.missing import Questions


def import_model(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(help="ONNX file, or weights of a MobileNet.")],
    name: Annotated[
        str | None, typer.Option(help="Name of the model. [default: the name of the file]")
    ] = None,
    like: Annotated[
        str | None,
        typer.Option(
            help="Use the scaling, the preprocessing and, without --labels, the ImageNet classes "
            "of torchvision, torchvision_v2, keras, tflite, timm or timm_v1."
        ),
    ] = None,
    mean: Annotated[
        str | None, typer.Option(help="Mean of pixel / 255: one number, or R,G,B.")
    ] = None,
    std: Annotated[
        str | None,
        typer.Option(help="Standard deviation of pixel / 255: one number, or R,G,B."),
    ] = None,
    resize: Annotated[
        str | None, typer.Option(help="Resizing: shortest_edge or central_crop.")
    ] = None,
    crop_fraction: Annotated[
        float | None, typer.Option(help="Fraction of the image to crop, such as 0.875.")
    ] = None,
    interpolation: Annotated[
        str | None, typer.Option(help="Interpolation: nearest, bilinear, bicubic or lanczos.")
    ] = None,
    labels: Annotated[
        str | None,
        typer.Option(help="Class names: a file with one per line, a JSON file, or imagenet."),
    ] = None,
    background: Annotated[
        bool | None,
        typer.Option(
            "--background/--no-background", help="Whether class 0 is a background class to drop."
        ),
    ] = None,
    photos: Annotated[
        Path | None,
        typer.Option(
            help="Labelled photos, as for `models evaluate`: try the usual scalings, and use the "
            "one that is clearly best."
        ),
    ] = None,
    bgr: Annotated[
        bool | None,
        typer.Option("--bgr/--rgb", help="Order of the channels in the training. [default: --rgb]"),
    ] = None,
    as_stored: Annotated[
        bool,
        typer.Option(
            "--as-stored",
            help="Give the pixels unchanged to a quantized input, whatever its scale is.",
        ),
    ] = False,
    layout: Annotated[
        str | None, typer.Option(help="Input layout, nchw or nhwc, if ambiguous in the file.")
    ] = None,
    resolution: Annotated[
        int | None, typer.Option(help="Trained resolution, if unknown from the file.")
    ] = None,
    activation: Annotated[
        str | None,
        typer.Option(
            help="Activation between the linear layers of a PyTorch state dict's head: relu, "
            "relu6, elu, tanh or none."
        ),
    ] = None,
    output: Annotated[
        str | None, typer.Option(help="Name of the output with the scores, if ambiguous.")
    ] = None,
    source: Annotated[str | None, typer.Option(help="Origin of the model, for the card.")] = None,
    licence: Annotated[str | None, typer.Option(help="Licence of the model, for the card.")] = None,
    store: terminal.StoreOption = None,
    force: Annotated[bool, typer.Option("--force", help="Replace an existing model.")] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print the findings without writing the model.")
    ] = False,
    as_json: terminal.JsonOption = False,
) -> None:
    """Import an ONNX classifier or the weights of a MobileNet.

    ONNX files may come from torch.onnx, tf2onnx or the ONNX model zoo, quantized or not; the result
    is compared with the original before it is written. Supported weights: .pth and .safetensors
    (torchvision, timm), .h5, .keras and .tflite. Whatever the file does not state is asked for in
    one message, with the command line that states it.
    """
    from app.images import pillow_settings
    from models.export.export import write_model
    from models.importing.adopt import adopt_file
    from models.importing.dialogue.missing import Missing, Questions
    from models.importing.dialogue.options import Choices
    from models.importing.report import chosen_name

    folder, settings = terminal.store_folder(store), load_settings()
    pillow_settings.configure()
    with terminal.errors_reported(ValueError, OSError), terminal.progress_bars() as progress:
        choices = Choices(
            like=like,
            mean=_numbers("mean", mean),
            std=_numbers("std", std),
            resize=resize,
            crop_fraction=crop_fraction,
            interpolation=interpolation,
            labels=labels,
            background=background,
            layout=layout,
            resolution=resolution,
            output=output,
            bgr=bgr,
            as_stored=as_stored,
            activation=activation,
            photos=photos,
            limits=ImageLimits.from_settings(settings),
            progress=progress,
        )
        if not (force or dry_run):
            chosen = chosen_name(name, file, Questions())
            _ask_to_replace(folder / f"{chosen}.onnx", choices.questions)
        try:
            adoption = adopt_file(file, choices, name, source, licence)
        except Missing as missing:
            if missing.trials and not as_json:
                console.show(trial_table(missing.trials))
            tell_missing(context, missing, as_json)
            raise
        path = folder / f"{adoption.card.name}.onnx"
        if not dry_run:
            write_model(adoption.model, path)
    data = {
        "file": None if dry_run else str(path),
        "findings": [asdict(finding) for finding in adoption.findings],
        "card": adoption.card.model_dump(mode="json", exclude={"labels": True, "cost": {"layers"}}),
    }
    tables: list[RenderableType] = []
    if adoption.trials:
        data["photos"] = trial_rows(adoption.trials)
        tables = [trial_table(adoption.trials), Text()]
    rows = [(each.what, each.value, each.known_by) for each in adoption.findings]
    table = plain_table(adoption.card.name, "", "known by", rows=rows, numbers=False)
    terminal.print_result(data, lambda: Group(*tables, table), as_json)
    if not dry_run:
        terminal.print_status(f"{path} ({path.stat().st_size / 1e6:.1f} MB)")


def _ask_to_replace(path: Path, questions: "Questions") -> None:
    from models.importing.dialogue.missing import Answer, Question

    if path.exists():
        answers = (Answer("--force", "to replace it"), Answer("--name NAME", "to keep it"))
        questions.ask(Question("--force, --name", f"{path} exists already.", answers), None)


def _numbers(option: str, text: str | None) -> tuple[float, ...] | None:
    if text is None:
        return None
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError:
        raise ValueError(
            f"--{option} is {text!r}; it must be one number, or three as in R,G,B."
        ) from None
