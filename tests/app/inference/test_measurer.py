"""Timing models on this device, and keeping the figures."""

import json
import shutil
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import httpx
import pytest

from app.arrays import Float32Array, Uint8Array
from app.inference.measurer import Measurer
from app.inference.timings import Timings
from app.model.model import Model, load_model
from app.model.reloadable_store import ReloadableStore
from app.model.store import Store
from app.model.store_folder import Selection
from app.settings import Settings
from tests.app.heads.made import write_head
from tests.app.resident import needs_glibc, numbers
from tests.app.sample_images import encode, noise
from tests.conftest import ROOT, SMALL_V1, SMALL_V2
from tests.processes import until
from tests.serving import served

SIDES = (96, 128)
KEYS = {(SMALL_V1, 128), (SMALL_V1, 96), (SMALL_V2, 96)}
LONG_S = 60.0


@pytest.fixture
def own_store(store: Path, tmp_path: Path) -> Path:
    folder = tmp_path / "store"
    folder.mkdir()
    for file in store.glob("*.onnx"):
        shutil.copy2(file, folder)
    return folder


def opened(folder: Path, **options: bool) -> tuple[Measurer, Timings]:
    timings = Timings()
    loaded = Store(Selection(folder), partial(load_model))
    return Measurer(loaded, timings, SIDES, busy=lambda: False, **options), timings


def test_every_variant_gets_a_time_and_decoding_too(own_store: Path) -> None:
    measurer, timings = opened(own_store)
    report = measurer.measure(LONG_S)
    assert (report.measured, report.kept, report.left_out) == (3, 0, 0)
    assert timings.measured.keys() == KEYS
    for measured in timings.measured.values():
        assert 0 < measured.p50_ms <= measured.p95_ms
    sizes = [image_bytes for image_bytes, _, _ in timings.decode_table()]
    assert len(set(sizes)) >= 2


def test_heads_are_not_timed(own_store: Path) -> None:
    """They run on the sessions of their bases, and `auto` never chooses them."""
    write_head(own_store / f"{SMALL_V2}.onnx")
    measurer, timings = opened(own_store)
    assert measurer.measurable == {SMALL_V1, SMALL_V2}
    report = measurer.measure(LONG_S)
    assert (report.measured, report.left_out) == (3, 0)
    assert timings.measured.keys() == KEYS


def test_times_are_milliseconds_of_the_thread(
    own_store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run takes 2 ms of the processor, and the whole measurement at least all of them."""

    def run(*_: object) -> None:
        end_at = time.thread_time() + 0.002
        while time.thread_time() < end_at:
            pass

    measurer, timings = opened(own_store)
    monkeypatch.setattr(Model, "probabilities", run)
    began = time.thread_time()
    measurer.measure(LONG_S)
    took_ms = (time.thread_time() - began) * 1000
    for measured in timings.measured.values():
        assert 2 <= measured.p50_ms <= measured.p95_ms <= took_ms
    decoding_ms = [each.p50_ms for _, _, each in timings.decode_table()]
    assert took_ms / 10_000 < sum(decoding_ms) < took_ms


def test_the_next_start_knows_the_figures_of_the_last(own_store: Path) -> None:
    measurer, timings = opened(own_store)
    measurer.measure(LONG_S)
    again, recalled = opened(own_store)
    assert again.load_results() == 3
    assert recalled.measured == timings.measured
    report = again.measure(LONG_S, again=False)
    assert (report.measured, report.kept) == (0, 3)
    assert again.measure(LONG_S).measured == 3


def test_figures_of_another_file_of_that_name_are_not_taken(own_store: Path) -> None:
    opened(own_store)[0].measure(LONG_S)
    replaced = own_store / f"{SMALL_V1}.onnx"
    shutil.copy(replaced, own_store / "copy")
    (own_store / "copy").replace(replaced)
    measurer, timings = opened(own_store)
    assert measurer.load_results() == 1
    assert timings.measured.keys() == {(SMALL_V2, 96)}


def test_a_model_that_was_replaced_meanwhile_gets_no_figures_of_the_old_one(
    own_store: Path,
) -> None:
    timings = Timings()
    loaded = ReloadableStore(Selection(own_store), load_model)
    looks = 0

    def busy() -> bool:
        nonlocal looks
        looks += 1
        if looks == 12:  # decoding is through, and runs of the first model are under way
            loaded.load(SMALL_V1)
        return False

    report = Measurer(loaded, timings, SIDES, busy).measure(LONG_S)
    assert timings.measured.keys() == {(SMALL_V2, 96)}
    assert (report.measured, report.left_out) == (1, 2)
    [kept] = (own_store / ".cache").glob("*.json")
    assert kept.name.startswith(SMALL_V2)


def test_a_reload_right_after_the_look_at_the_store_leaves_no_figure_either(
    own_store: Path,
) -> None:
    timings = Timings()

    class Reloading(ReloadableStore):
        def holds(self, model: Model) -> bool:
            found = super().holds(model)
            if found and model.name == SMALL_V1:
                self.load(SMALL_V1)
                timings.forget({SMALL_V1})
            return found

    loaded = Reloading(Selection(own_store), load_model)
    Measurer(loaded, timings, SIDES, busy=lambda: False).measure(LONG_S)
    assert timings.measured.keys() == {(SMALL_V2, 96)}


def test_kept_figures_that_cannot_be_read_are_measured_anew(own_store: Path) -> None:
    measurer, _ = opened(own_store)
    measurer.measure(LONG_S)
    kept = sorted((own_store / ".cache").glob("*.json"))
    for file, text in zip(kept, ("{", json.dumps({"128": {"p50_ms": 1}})), strict=True):
        file.write_text(text)
    assert opened(own_store)[0].load_results() == 0


def test_nothing_is_kept_if_nothing_shall_be(own_store: Path) -> None:
    opened(own_store, store_results=False)[0].measure(LONG_S)
    assert not (own_store / ".cache").exists()


def test_without_time_all_is_left_out(own_store: Path) -> None:
    measurer, timings = opened(own_store)
    report = measurer.measure(0)
    assert (report.measured, report.left_out) == (0, 3)
    assert timings.measured == {}


def test_requests_go_first_and_a_stop_ends_it(own_store: Path) -> None:
    timings = Timings()
    loaded = Store(Selection(own_store), partial(load_model))
    looks = 0

    def busy() -> bool:
        nonlocal looks
        looks += 1
        if looks == 5:
            measurer.stop()
        return True

    measurer = Measurer(loaded, timings, SIDES, busy)
    assert measurer.measure(LONG_S).measured == 0
    assert looks == 5


def measured_rows(client: httpx.Client) -> list[dict[str, object]]:
    rows: list[dict[str, object]] = client.get("/models/frontier").json()["variants"]
    return [row for row in rows if row["inference_ms"] is not None]


def test_the_service_measures_after_its_start_and_then_follows_requests(own_store: Path) -> None:
    settings = Settings(
        store=own_store,
        auto_resolutions=SIDES,
        measure_s=LONG_S,
        lone_image_threads=1,  # the times of a lone image on all cores are left out
    )
    with served(settings) as client:
        until(lambda: len(measured_rows(client)) == len(KEYS), "all are measured")
        before = {(row["model"], row["resolution"]): row for row in measured_rows(client)}
        assert all(row["samples"] == 0 for row in before.values())
        for _ in range(20):
            predicted = client.post("/predict", params={"model": SMALL_V1}, content=encode(noise()))
            predicted.raise_for_status()
        seen = {row["model"]: row["samples"] for row in measured_rows(client) if row["samples"]}
        assert seen == {SMALL_V1: 20}
        [trained, small] = client.get(f"/models/{SMALL_V1}").json()["variants"]
        assert (trained["resolution"], trained["samples"]) == (128, 20)
        assert (small["resolution"], small["samples"]) == (96, 0)
        for row in measured_rows(client):  # requests do not change what was measured while idle
            assert row["idle_ms"] == before[row["model"], row["resolution"]]["inference_ms"]


def test_a_model_that_comes_later_is_measured_too(own_store: Path, tmp_path: Path) -> None:
    late = own_store / f"{SMALL_V2}.onnx"
    late.rename(tmp_path / late.name)
    settings = Settings(
        store=own_store, auto_resolutions=SIDES, measure_s=LONG_S, reload_poll_s=0.05
    )
    with served(settings) as client:
        until(lambda: len(measured_rows(client)) == 2, "the first model is measured")
        (tmp_path / late.name).rename(late)
        until(lambda: len(measured_rows(client)) == 3, "the second model is measured")


def test_measuring_can_be_switched_off_and_asked_for(own_store: Path) -> None:
    settings = Settings(
        store=own_store, auto_resolutions=SIDES, measure_s=0, admin_key="admin", cache=False
    )
    with served(settings) as client:
        assert measured_rows(client) == []
        assert client.post("/models/measure").status_code == 401
        headers = {"X-API-Key": "wrong"}
        assert client.post("/models/measure", headers=headers).status_code == 403
        headers = {"X-API-Key": "admin"}
        report = client.post("/models/measure", headers=headers).json()
        assert (report["measured"], report["left_out"]) == (3, 0)
        rows = client.get("/models/frontier").json()["variants"]
        assert [row["beaten_by"] is None for row in rows] == [row["on_frontier"] for row in rows]
        assert len(measured_rows(client)) == 3


WITHOUT_LEFT_OUT = """
import sys
from fnmatch import fnmatch
from pathlib import Path

from container.trim import PACKAGES_LEFT_OUT


class LeftOut:
    def find_spec(self, name, path=None, target=None):
        if any(fnmatch(name.replace(".", "/"), pattern) for pattern in PACKAGES_LEFT_OUT):
            raise ModuleNotFoundError(f"{name} is not in the image", name=name)


sys.meta_path.insert(0, LeftOut())
from app.inference.measurer import Measurer
from app.model.model import load_model
from app.model.store import Selection, Store
from app.inference.timings import Timings

store = Store(Selection(Path(sys.argv[1])), load_model)
print(Measurer(store, Timings(), (96,), lambda: False, store_results=False).measure(60).measured)
"""


def test_measuring_needs_nothing_that_the_image_leaves_out(own_store: Path) -> None:
    command = [sys.executable, "-c", WITHOUT_LEFT_OUT, str(own_store)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("3\n", "")


@needs_glibc
def test_after_measuring_what_no_work_needs_is_given_back(own_store: Path) -> None:
    code = """if True:
        import asyncio, sys
        from pathlib import Path
        from app.inference.measurer import Measurer
        from app.model.model import load_model
        from app.model.store import Selection, Store
        from app.inference.timings import Timings
        from tests.app.resident import resident_bytes

        store = Store(Selection(Path(sys.argv[1])), load_model)
        measurer = Measurer(store, Timings(), (96,), lambda: False)
        blocks = [bytes(10_000) for _ in range(10_000)]
        above = bytes(10_000)
        del blocks
        before = resident_bytes()
        asyncio.run(measurer.measure_exclusively(60))
        print(before - resident_bytes())
    """
    [given_back], _ = numbers(code, own_store)
    assert given_back > 50e6


def test_measuring_goes_on_until_all_variants_have_a_time(own_store: Path) -> None:
    """Each turn has time for one variant only: what has begun is finished, nothing else begun."""
    settings = Settings(store=own_store, auto_resolutions=SIDES, measure_s=0.02, cache=False)
    with served(settings) as client:
        until(lambda: len(measured_rows(client)) == len(KEYS), "all are measured")


def test_a_variant_that_cannot_run_does_not_keep_the_others_from_their_times(
    own_store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = Model.probabilities

    def fails_at_128(model: Model, images: Uint8Array) -> Float32Array:
        if images.shape[1] == 128:
            raise RuntimeError("no such resolution")
        return run(model, images)

    measurer, timings = opened(own_store)
    monkeypatch.setattr(Model, "probabilities", fails_at_128)
    report = measurer.measure(LONG_S, again=False)
    assert (report.measured, report.left_out) == (2, 0)
    assert timings.measured.keys() == KEYS - {(SMALL_V1, 128)}
    assert measurer.measure(LONG_S, again=False).measured == 0  # it is not tried again and again
