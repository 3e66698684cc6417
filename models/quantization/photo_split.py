"""Splitting photos into images that calibrate, images that choose a method, and a holdout."""

from dataclasses import dataclass
from pathlib import Path

from app.arrays import Uint8Array
from app.card.card import ModelCard
from app.images.limits import ImageLimits
from models.photos.views import collect_views, evenly_spread, photo_files
from models.progress import Progress, StepCounter

COMPARISON_EVERY = 4
MIN_PHOTOS = 4


@dataclass(frozen=True, slots=True)
class PhotoSplit:
    """Images that calibrate, that compare the methods, and that the card's report is about.

    The files are their photos; `report_files` is empty without a holdout.
    """

    calibration: list[Uint8Array]
    comparison: list[Uint8Array]
    report: list[Uint8Array]
    calibration_files: tuple[Path, ...]
    comparison_files: tuple[Path, ...]
    report_files: tuple[Path, ...]


def split_photos(
    card: ModelCard,
    calibration: Path,
    holdout: Path | None,
    count: int,
    limits: ImageLimits,
    progress: Progress,
) -> PhotoSplit:
    """Read up to `count` views for each part; every fourth photo compares instead of calibrating.

    Views of one photo never fall into two parts. `holdout` is a folder for the report alone;
    without it, the report is about the images that compare.

    Raises:
        ValueError: a folder is missing or too small, a file is not an image, or a photo is in both
            folders.
    """
    files = photo_files(calibration)
    if len(files) < MIN_PHOTOS:
        raise ValueError(
            f"{calibration} contains {len(files)} photos; at least {MIN_PHOTOS} are needed to "
            "calibrate on some and compare on others. 100 or more are recommended."
        )
    held_out = photo_files(holdout) if holdout else []
    if shared := {path.resolve() for path in files} & {path.resolve() for path in held_out}:
        raise ValueError(
            f"{min(shared)} is in both {calibration} and {holdout}. Give photos to --holdout that "
            "do not calibrate."
        )
    calibrating = [path for at, path in enumerate(files) if at % COMPARISON_EVERY]
    parts = (calibrating, files[::COMPARISON_EVERY], held_out)
    on_photo = StepCounter(progress, "reading photos", sum(min(count, len(part)) for part in parts))
    views = [collect_views(part, card, limits, count, on_photo) if part else [] for part in parts]
    used = [tuple(evenly_spread(part, count)) for part in parts]
    return PhotoSplit(views[0], views[1], views[2] or views[1], *used)
