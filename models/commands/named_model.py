"""Models as the command line names them: in the store, in the zoo, or any file."""

from pathlib import Path

from app.card.card import CARD_KEY, ModelCard, parse_card
from models.commands import terminal


def model_in_store(store: Path, name: str) -> Path:
    """The file of a model in the store.

    Raises:
        CommandError: the store has no such model.
    """
    from models.zoo.zoo import zoo

    path = store / f"{name}.onnx"
    if path.is_file():
        return path
    if name in zoo():
        hint = f"Download it with `mobilenet-gateway models pull {name}`."
    elif names := sorted(file.stem for file in store.glob("*.onnx")):
        hint = f"Models in the store: {', '.join(names)}."
    else:
        hint = "The store is empty."
    raise terminal.CommandError(f"Model {name!r} is not in {store}. {hint}")


def find_model(name: str, store: Path) -> tuple[Path | None, ModelCard | None]:
    """The file and card of a path or a name in the store, or the card alone of a zoo model.

    Raises:
        CommandError: the name is unknown, or the file is not an ONNX file.
        CardError: the card in the file is not valid.
    """
    from models.export.export import read_metadata
    from models.zoo.zoo import ZooError, find

    path = Path(name) if name.endswith(".onnx") else store / f"{name}.onnx"
    with terminal.errors_reported(ZooError, ValueError, OSError):
        if path.is_file():
            text = read_metadata(path).get(CARD_KEY)
            return path, parse_card(text) if text else None
        if name.endswith(".onnx"):
            raise terminal.CommandError(f"{path} is not a file.")
        entry = find(name)
    return None, entry.recipe.card(entry.precision)
