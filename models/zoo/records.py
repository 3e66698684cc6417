"""The records of zoo.toml, and the checkpoints that a row of a grid stands for."""

from collections.abc import Iterator
from typing import Annotated, Any, Literal, NamedTuple, Self

from pydantic import BaseModel, ConfigDict, Field, HttpUrl, model_validator

from app.card.card import Family, Percent, Precision, Preprocessing
from models.export.graph import InputScaling
from models.network.design import PAPER_DESIGN, Design
from models.network.layers import Padding

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Channels = tuple[float, float, float]
Reader = Literal["keras_h5", "tflite", "timm", "torchvision"]


class Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class PackageOrigin(Record):
    """A member of a wheel on the Python package index."""

    package: str = Field(pattern=r"^[A-Za-z0-9_.\-]+==[0-9.]+$")
    sha256: Sha256
    member: str


class UrlOrigin(Record):
    """An address that gives the file itself."""

    url: HttpUrl


class ArchiveOrigin(Record):
    """The address of a `.tgz` that has the file as a member."""

    archive: HttpUrl
    member: str


FileOrigin = PackageOrigin | UrlOrigin | ArchiveOrigin


class ZooFile(Record):
    """A published file, pinned by its hash; without one its first pull records what came.

    Some publishers tell the hash and not the size in bytes.
    """

    sha256: Sha256 | None = None
    file_bytes: int | None = Field(default=None, gt=0)
    licence: str
    origins: tuple[FileOrigin, ...]

    @model_validator(mode="after")
    def _pinned_whole(self) -> Self:
        if self.sha256 is None and self.file_bytes is not None:
            raise ValueError("file_bytes without sha256 pins nothing: give both or neither")
        return self

    @property
    def pinned(self) -> bool:
        return self.sha256 is not None


class Format(Record):
    """What checkpoints of one kind of file have in common, and what reads them."""

    reader: Reader
    padding: Padding
    background: bool
    mean: Channels
    std: Channels
    batch_norm_epsilon: float | None = None
    preprocessing: Preprocessing

    @property
    def scaling(self) -> InputScaling:
        return InputScaling(self.mean, self.std)


class ZooModel(Record):
    """One model made of a checkpoint."""

    precision: Precision
    variant: str | None = None
    top1: Percent | None = None
    top5: Percent | None = None


class ZooCheckpoint(Record):
    """Weights as published.

    `source` is that of the accuracy, where it is not the publisher; `preprocessing` is that of its
    measurement, where it is not the format's.
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


class Cell(NamedTuple):
    """One row of a published table of accuracies."""

    alpha: float
    resolution: int
    top1: Percent | None = None
    top5: Percent | None = None


class AccuracyTable(Record):
    """A published table of accuracies, and where it stands."""

    source: str
    rows: tuple[Cell, ...] = Field(min_length=1)


class GridModel(Record):
    """What is made of each checkpoint of a grid."""

    precision: Precision
    variant: str | None = None


class Grid(Record):
    """Checkpoints that differ in alpha and resolution only, one a row of `tables`.

    `file` and the texts of `origins` may name {alpha}, {resolution} and, in `origins`, {file};
    `alpha_spelling` is for publishers who write a width in another way than 0.5. The accuracy of a
    row is that of the first of `models`: nobody published one for the others.
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
        """A checkpoint for each row, the widest and the finest first."""
        first, *others = self.models
        for source, cell in self._cells():
            models = [
                ZooModel(**first.model_dump(), top1=cell.top1, top5=cell.top5),
                *(ZooModel(**other.model_dump()) for other in others),
            ]
            yield ZooCheckpoint(
                family=self.family,
                alpha=cell.alpha,
                resolution=cell.resolution,
                format=self.format,
                files=(self._file_name(cell),),
                models=tuple(models),
                source=source,
            )

    def files(self) -> dict[str, ZooFile]:
        """The file of each checkpoint by name; none of them is pinned."""
        return {self._file_name(cell): self._file(cell) for _, cell in self._cells()}

    def _cells(self) -> list[tuple[str, Cell]]:
        cells = [(table.source, cell) for table in self.tables for cell in table.rows]
        return sorted(cells, key=lambda pair: (-pair[1].alpha, -pair[1].resolution))

    def _file(self, cell: Cell) -> ZooFile:
        name = self._file_name(cell)
        origins: list[dict[str, Any]] = [
            {key: self._fill(text, cell, file=name) for key, text in origin.items()}
            for origin in self.origins
        ]
        return ZooFile.model_validate({"licence": self.licence, "origins": origins})

    def _file_name(self, cell: Cell) -> str:
        return self._fill(self.file, cell)

    def _fill(self, text: str, cell: Cell, **names: str) -> str:
        alpha = self.alpha_spelling.get(str(cell.alpha), str(cell.alpha))
        try:
            return text.format(alpha=alpha, resolution=cell.resolution, **names)
        except (KeyError, IndexError) as error:
            raise ValueError(f"{text!r} names {error}, which a grid does not have") from error


class Zoo(Record):
    """The whole of zoo.toml."""

    formats: dict[str, Format]
    sources: dict[str, str]
    files: dict[str, ZooFile]
    checkpoints: tuple[ZooCheckpoint, ...]
    grids: tuple[Grid, ...] = ()

    @model_validator(mode="after")
    def _names_exist(self) -> Self:
        """What a checkpoint refers to has to stand in the other tables."""
        files = self.all_files()
        for checkpoint in self.all_checkpoints():
            if checkpoint.format not in self.formats or checkpoint.format not in self.sources:
                raise ValueError(f"format {checkpoint.format!r} is not described")
            if unknown := set(checkpoint.files) - files.keys():
                raise ValueError(f"no such file: {', '.join(sorted(unknown))}")
        for name, file in files.items():
            if not file.pinned and any(_scheme(origin) == "http" for origin in file.origins):
                raise ValueError(f"{name} is not pinned, so its address has to be https")
        return self

    def all_checkpoints(self) -> list[ZooCheckpoint]:
        """Those that stand alone, then those of the grids."""
        grids = [checkpoint for grid in self.grids for checkpoint in grid.checkpoints()]
        return [*self.checkpoints, *grids]

    def all_files(self) -> dict[str, ZooFile]:
        """Every file by name.

        `files` pins a file of a grid by having one of that name; its own addresses go first.
        """
        found = dict(self.files)
        for grid in self.grids:
            for name, file in grid.files().items():
                if pin := self.files.get(name):
                    file = pin.model_copy(update={"origins": (*pin.origins, *file.origins)})
                found[name] = file
        return found


def _scheme(origin: FileOrigin) -> str | None:
    """http or https; a package has neither."""
    match origin:
        case UrlOrigin(url=address) | ArchiveOrigin(archive=address):
            return address.scheme
        case PackageOrigin():
            return None
