"""`make bench-auto`: what is promised of choosing a model, measured on this machine."""

import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import typer
from rich.console import Console

from app.model.model import load_model
from loadtest import report
from loadtest.auto import report as auto_report
from loadtest.auto.predictions import Predicted, check_models, check_networks
from loadtest.auto.scenarios import (
    BudgetStudy,
    NewResolution,
    Overload,
    study_budget,
    study_new_resolution,
    study_overload,
)
from loadtest.bench.rounds import write_bodies
from loadtest.bench.run import prepare
from loadtest.host import processes
from loadtest.host.machine import Disturbance, Machine, cpu_times, disturbance, this_machine
from loadtest.load.photos import prepare_photos
from loadtest.load.wrk import check_wrk
from models.recommendation.probe import probe

# A ladder from the default model down to the smallest.
MODELS = (
    "mobilenet_v2_1.0_224",
    "mobilenet_v1_0.75_192_qat",
    "mobilenet_v1_0.5_160_qat",
    "mobilenet_v1_0.25_128",
)
CONSOLE = Console(stderr=True)


@dataclass(frozen=True, slots=True)
class Result:
    """One run of this benchmark."""

    machine: Machine
    disturbed: Disturbance
    took_s: float
    budget: BudgetStudy
    overload: Overload
    probe_s: float
    predicted: list[Predicted]
    new_resolution: NewResolution


def main(
    store: Annotated[Path, typer.Option(help="Folder of the .onnx files.")] = Path("models/store"),
    quick: Annotated[bool, typer.Option(help="A look in a minute; not published.")] = False,
    publish: Annotated[bool, typer.Option(help="Fill docs/performance.md.")] = True,
) -> None:
    """Measure automatic choice, brown-out, prediction and new resolutions, and write tables."""
    check_wrk()
    processes.adopt_orphans()
    machine, before, began = this_machine(), cpu_times(), time.monotonic()
    requests, seconds = (600, 5.0) if quick else (2000, 20.0)
    with TemporaryDirectory() as name, CONSOLE.status("start") as status:
        folder = Path(name)
        log = folder / "server.log"
        own, single = folder / "store", folder / "single"
        for each in (own, single):
            each.mkdir()
        for model in MODELS:
            shutil.copy(prepare(model, store, folder), own)
        shutil.copy(own / f"{MODELS[0]}.onnx", single)
        photos = {photo.name: photo for photo in prepare_photos(folder / "photos")}
        bodies = {
            photo: next(body for body in write_bodies(photos[photo], folder) if body.form == "raw")
            for photo in ("720p", "500x375")
        }
        status.update("prediction")
        probed = probe()
        loaded = (load_model(file) for file in sorted(own.glob("*.onnx")))
        real = check_models(loaded, probed.models)
        predicted = real + check_networks(probed.models)
        budget = study_budget(own, log, bodies["720p"], requests, status.update)
        overload = study_overload(own, log, bodies["500x375"], seconds, status.update)
        new = study_new_resolution(single, log, bodies["720p"], seconds, status.update)
    result = Result(
        machine=machine,
        disturbed=disturbance(before, cpu_times()),
        took_s=time.monotonic() - began,
        budget=budget,
        overload=overload,
        probe_s=probed.took_s,
        predicted=predicted,
        new_resolution=new,
    )
    text = auto_report.render(result)
    print(text)
    report.write_json("auto", result)
    report.write_markdown("auto", text)
    if publish and not quick:
        report.publish("auto", text)


if __name__ == "__main__":
    typer.run(main)
