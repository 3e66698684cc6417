"""`make bench-auto`: the targets of automatic model choice, measured on this machine."""

import shutil
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import typer
from rich.console import Console

from app.model.model import load_model
from loadtest.auto.predictions import predict_models, predict_networks
from loadtest.auto.report import render
from loadtest.auto.result import AutoResult
from loadtest.auto.scenarios import run_budget, run_new_resolution, run_overload
from loadtest.host import processes
from loadtest.host.machine import MachineMonitor
from loadtest.host.model_store import LARGEST, SMALLEST, STORE, make_auto_store
from loadtest.load.body import write_body
from loadtest.load.photos import prepare_photos
from loadtest.load.wrk import check_wrk
from loadtest.report import save
from models.recommendation.probe import probe

MODELS = (LARGEST, "mobilenet_v1_0.75_192_qat", "mobilenet_v1_0.5_160_qat", SMALLEST)
CONSOLE = Console(stderr=True)


def main(
    store: Annotated[Path, typer.Option(help="Folder of the .onnx files.")] = STORE,
    quick: Annotated[bool, typer.Option(help="Run for a minute and do not publish.")] = False,
    publish: Annotated[bool, typer.Option(help="Update docs/performance.md.")] = True,
) -> None:
    """Measure automatic choice, brown-out, prediction and new resolutions, and write tables."""
    check_wrk()
    processes.adopt_orphans()
    monitor = MachineMonitor()
    requests, seconds = (600, 5.0) if quick else (2000, 20.0)
    with TemporaryDirectory() as name, CONSOLE.status("start") as status:
        folder = Path(name)
        log = folder / "server.log"
        all_models, one_model = make_auto_store(MODELS, store, folder), folder / "single"
        one_model.mkdir()
        shutil.copy(all_models / f"{LARGEST}.onnx", one_model)
        photos = prepare_photos(folder / "photos")
        camera = write_body(photos["720p"], folder)
        small = write_body(photos["500x375"], folder)
        status.update("prediction")
        probed = probe()
        loaded = (load_model(file) for file in sorted(all_models.glob("*.onnx")))
        predictions = predict_models(loaded, probed.models) + predict_networks(probed.models)
        budget = run_budget(all_models, log, camera, requests, status.update)
        overload = run_overload(all_models, log, small, seconds, status.update)
        new_resolution = run_new_resolution(one_model, log, camera, seconds, status.update)
    result = AutoResult(
        monitor.conditions(), budget, overload, probed.took_s, predictions, new_resolution
    )
    save("auto", render(result), result, publish=publish and not quick)


if __name__ == "__main__":
    typer.run(main)
