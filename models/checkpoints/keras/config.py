"""The configuration that a whole saved model of Keras has beside its weights.

A `.keras` file has it in `config.json`, an `.h5` of `Model.save` in its attribute `model_config`;
files of weights alone have none.
"""

from pathlib import Path

from models.checkpoints import stored_zip
from models.checkpoints.keras import hdf5

CONFIG, CONFIG_ATTRIBUTE = "config.json", "model_config"
# Keras 2 describes arithmetic by its `function`; a number that comes first has a node of this name.
OPERATORS = {
    "math.truediv": "TrueDivide",
    "math.divide": "Divide",
    "math.subtract": "Subtract",
    "math.multiply": "Multiply",
    "math.add": "Add",
    "__operators__.add": "Add",
}
CONSTANT = "_CONSTANT_VALUE"
# what reading a configuration raises that Keras did not write
DAMAGE = (ValueError, LookupError, TypeError, AttributeError, RecursionError, ArithmeticError)


def configuration(path: Path) -> str | None:
    """JSON; None in a file of weights alone."""
    if stored_zip.is_zip(path):
        config = stored_zip.read_entries(path.read_bytes()).get(CONFIG)
        return None if config is None else config.decode("utf-8", "replace")
    with hdf5.open_file(path) as root:
        return hdf5.text(root, CONFIG_ATTRIBUTE)
