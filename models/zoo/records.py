"""The records of zoo.toml, and the checkpoints of its grids."""

from collections.abc import Iterator
from typing import Annotated, Literal, NamedTuple, Self

from pydantic import BaseModel, Field, HttpUrl, model_validator

from app.card.card import Family, Percent, Precision, Preprocessing
from models.export.graph import InputScaling
from models.network.design import PAPER_DESIGN, Design
from models.network.layers import Padding

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
RgbValues = tuple[float, float, float]
Reader = Literal["keras_h5", "tflite", "timm", "torchvision"]


class Record(BaseModel, frozen=True, extra="forbid"):
    """A frozen record; an unknown field is an error."""


class PackageOrigin(Record):
    """A member of a wheel on the Python package index."""

    package: str = Field(pattern=r"^[A-Za-z0-9_.\-]+==[0-9.]+$")
    sha256: Sha256
    member: str


class UrlOrigin(Record):
    """The address of the file itself."""

    url: HttpUrl


class ArchiveOrigin(Record):
    """The address of a `.tgz` archive that contains the file."""

    archive: HttpUrl
    member: str


FileOrigin = PackageOrigin | UrlOrigin | ArchiveOrigin


def address(origin: FileOrigin) -> str:
    """The package, or the address, of an origin."""
    match origin:
        case PackageOrigin(package=package):
            return package
        case UrlOrigin(url=url):
            return str(url)
        case ArchiveOrigin(archive=archive, member=member):
            return f"{archive} ({member})"


class ZooFile(Record):
    """A published file, pinned by its hash.

    The first pull of a file without a hash records the hash. Some publishers give a hash without a
    size.
    """

    sha256: Sha256 | None = None
    file_bytes: int | None = Field(default=None, gt=0)
    licence: str
    origins: tuple[FileOrigin, ...]

    @model_validator(mode="after")
    def _pinned_whole(self) -> Self:
        if self.sha256 is None and self.file_bytes is not None:
            raise ValueError("file_bytes needs sha256: give both or neither")
        return self

    @property
    def pinned(self) -> bool:
        return self.sha256 is not None


class Format(Record):
    """What the checkpoints of one file format have in common, and their reader.

    integer_weights     the publisher quantised them
    batch_norm_epsilon  None where batch norm is already folded
    mean, std           of the scaling (pixel / 255 - mean) / std, per RGB channel
    """

    reader: Reader
    padding: Padding
    background: bool
    integer_weights: bool = False
    mean: RgbValues
    std: RgbValues
    batch_norm_epsilon: float | None = None
    preprocessing: Preprocessing

    @property
    def scaling(self) -> InputScaling:
        return InputScaling(self.mean, self.std)


class GridModel(Record):
    """A model made from each checkpoint of a grid."""

    precision: Precision
    variant: str | None = None


class ZooModel(GridModel):
    """One model made from a checkpoint."""

    top1: Percent | None = None
    top5: Percent | None = None


class ZooCheckpoint(Record):
    """Published weights.

    `source` is the source of the accuracy if it is not the publisher. `preprocessing` is the one
    that the accuracy was measured with if it is not the format's.
    """

    family: Family
    alpha: float
    resolution: int
    format: str
    files: tuple[str, ...] = Field(min_length=1)
    models: tuple[ZooModel, ...] = Field(min_length=1)
    source: str | None = None
    preprocessing: Preprocessing | None = None
    design: Design = PAPER_DESIGN


class GridRow(NamedTuple):
    """One row of a published table of accuracies."""

    alpha: float
    resolution: int
    top1: Percent | None = None
    top5: Percent | None = None


class AccuracyTable(Record):
    source: str
    rows: tuple[GridRow, ...] = Field(min_length=1)


class Grid(Record):
    """Checkpoints that differ in alpha and resolution only, one per row of `tables`.

    `file` and the texts of `origins` may contain {alpha} and {resolution}, and those of `origins`
    {file}. `alpha_spelling` maps a width such as 0.5 to the publisher's spelling. The accuracy of a
    row belongs to the first of `models`; no accuracy of the others was published.
    """

    family: Family
    format: str
    file: str
    licence: str
    origins: tuple[dict[str, str], ...]
    alpha_spelling: dict[str, str] = {}
    models: tuple[GridModel, ...] = Field(min_length=1)
    tables: tuple[AccuracyTable, ...] = Field(min_length=1)

    def checkpoints(self) -> Iterator[ZooCheckpoint]:
        """The checkpoint of each row: wide before narrow, then high before low resolution."""
        first, *others = self.models
        for source, cell in self._cells():
            yield ZooCheckpoint(
                family=self.family,
                alpha=cell.alpha,
                resolution=cell.resolution,
                format=self.format,
                files=(self._fill(self.file, cell),),
                models=(
                    ZooModel(**first.model_dump(), top1=cell.top1, top5=cell.top5),
                    *(ZooModel(**other.model_dump()) for other in others),
                ),
                source=source,
            )

    def files(self) -> dict[str, ZooFile]:
        """The file of each checkpoint by name, not pinned."""
        files = {}
        for _, cell in self._cells():
            name = self._fill(self.file, cell)
            origins = [
                {key: self._fill(text, cell, file=name) for key, text in origin.items()}
                for origin in self.origins
            ]
            files[name] = ZooFile.model_validate({"licence": self.licence, "origins": origins})
        return files

    def _cells(self) -> list[tuple[str, GridRow]]:
        cells = [(table.source, cell) for table in self.tables for cell in table.rows]
        return sorted(cells, key=lambda pair: (-pair[1].alpha, -pair[1].resolution))

    def _fill(self, text: str, cell: GridRow, **names: str) -> str:
        alpha = self.alpha_spelling.get(str(cell.alpha), str(cell.alpha))
        try:
            return text.format(alpha=alpha, resolution=cell.resolution, **names)
        except (KeyError, IndexError) as error:
            raise ValueError(f"{text!r} contains {error}, which a grid does not have") from error


class Zoo(Record):
    """All of zoo.toml."""

    formats: dict[str, Format]
    sources: dict[str, str]
    files: dict[str, ZooFile]
    checkpoints: tuple[ZooCheckpoint, ...]
    grids: tuple[Grid, ...] = ()

    @model_validator(mode="after")
    def _names_exist(self) -> Self:
        """Check that the other tables have everything that checkpoints refer to."""
        files = self.all_files()
        for checkpoint in self.all_checkpoints():
            if checkpoint.format not in self.formats or checkpoint.format not in self.sources:
                raise ValueError(f"unknown format {checkpoint.format!r}")
            if unknown := set(checkpoint.files) - files.keys():
                raise ValueError(f"unknown files: {', '.join(sorted(unknown))}")
        for name, file in files.items():
            if not file.pinned and any(
                address(origin).startswith("http:") for origin in file.origins
            ):
                raise ValueError(f"{name} is not pinned, so its address must be https")
        return self

    def all_checkpoints(self) -> list[ZooCheckpoint]:
        """The single checkpoints, then those of the grids."""
        grids = [checkpoint for grid in self.grids for checkpoint in grid.checkpoints()]
        return [*self.checkpoints, *grids]

    def all_files(self) -> dict[str, ZooFile]:
        """Every file by name.

        A file of the same name in `files` pins the file of a grid, and its addresses come first.
        """
        found = dict(self.files)
        for grid in self.grids:
            for name, file in grid.files().items():
                if pin := self.files.get(name):
                    file = pin.model_copy(update={"origins": (*pin.origins, *file.origins)})
                found[name] = file
        return found
