"""Models as the command line names them: of the store, of the zoo, or any file."""

from pathlib import Path

from app.card.card import CARD_KEY, ModelCard, parse_card
from models.commands.terminal import CommandError, errors_reported


def stored_model(folder: Path, name: str) -> Path:
    """The file of a model that has to be in the store.

    Raises:
        CommandError: it is not there.
    """
    from models.zoo.zoo import zoo

    path = folder / f"{name}.onnx"
    if path.is_file():
        return path
    there = ", ".join(sorted(file.stem for file in folder.glob("*.onnx")))
    if name in zoo():
        hint = f"`mobilenet-gateway models pull {name}` fetches it"
    else:
        hint = f"the store has {there or 'no model'}"
    raise CommandError(f"{path} is not a file; {hint}")


def find_model(name: str, folder: Path) -> tuple[Path | None, ModelCard | None]:
    """A file by its path or by its name in the store, and its card; or a zoo model's card.

    Raises:
        CommandError: there is neither, or the file is no ONNX file.
        CardError: the card in the file is not valid.
    """
    from models.export.export import read_metadata
    from models.zoo.zoo import ZooError, find

    path = Path(name) if name.endswith(".onnx") else folder / f"{name}.onnx"
    with errors_reported(ZooError, ValueError, OSError):
        if path.is_file():
            text = read_metadata(path).get(CARD_KEY)
            return path, parse_card(text) if text else None
        if name.endswith(".onnx"):
            raise CommandError(f"{path} is not a file")
        entry = find(name)
    return None, entry.recipe.card(entry.precision)
