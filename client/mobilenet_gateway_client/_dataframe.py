"""Classifications as a pandas DataFrame."""

from collections.abc import Iterable
from dataclasses import asdict, replace
from os import PathLike
from typing import TYPE_CHECKING

from mobilenet_gateway_client._command.rows import Row, flatten
from mobilenet_gateway_client._results import Classification

if TYPE_CHECKING:
    from pandas import DataFrame


def to_dataframe(found: "Iterable[Classification | tuple[object, Classification]]") -> "DataFrame":
    """A row for each classification, with the columns of the command `classify`.

    `found` are the classifications of `classify`, or the pairs of `classify_each`, whose images
    become the column `file` if they are paths. Each rank has `class_id_1`, `label_1` and
    `probability_1`, of several heads `HEAD.label_1`; errors are in `error` and `error_detail`.

    Raises:
        ModuleNotFoundError: pandas is not installed.
    """
    try:
        from pandas import DataFrame
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            "to_dataframe needs pandas. Install it in a checkout with "
            "`pip install './client[pandas]'`.",
            name=error.name,
        ) from error
    return DataFrame([_row(one) for one in found])


def _row(found: "Classification | tuple[object, Classification]") -> dict[str, object]:
    image, classification = found if isinstance(found, tuple) else (None, found)
    embedding = classification.embedding
    row = flatten(Row("", replace(classification, embedding=None)).nested())
    del row["file"]
    for head, scores in classification.heads.items():
        by_rank = flatten({"predictions": [asdict(score) for score in scores]})
        row |= {f"{head}.{column}": value for column, value in by_rank.items()}
    if embedding is not None:
        row["embedding"] = embedding.tolist()
    return {"file": str(image), **row} if isinstance(image, str | PathLike) else row
