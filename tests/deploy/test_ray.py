"""Archives on Ray: the actor and its files; `make check-ray` runs it on a cluster."""

import importlib.util
import json
import os
import re
import shlex
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from app.library import Classifier
from tests.app.sample_images import encode, noise
from tests.conftest import ROOT, SMALL_V1

pytest.importorskip("pyarrow", reason="needs pyarrow; `make test` installs it")
yaml = pytest.importorskip("yaml", reason="needs PyYAML; `make test` installs it")
import pyarrow.fs as pafs  # noqa: E402  only where it is installed
import pyarrow.parquet as pq  # noqa: E402  only where it is installed

FOLDER = ROOT / "deploy" / "ray"
# Names in KubeRay's API reference, ray.io/v1; a schema of KubeRay is in no package.
JOB = {
    "activeDeadlineSeconds", "backoffLimit", "entrypoint", "jobId", "rayClusterSpec",
    "runtimeEnvYAML", "shutdownAfterJobFinishes", "submissionMode", "ttlSecondsAfterFinished",
}  # fmt: skip
CLUSTER = {"enableInTreeAutoscaling", "headGroupSpec", "rayVersion", "workerGroupSpecs"}
HEAD = {"rayStartParams", "template"}
WORKERS = {*HEAD, "groupName", "maxReplicas", "minReplicas", "numOfHosts", "replicas"}


@pytest.fixture(scope="module")
def batch() -> ModuleType:
    spec = importlib.util.spec_from_file_location("ray_batch", FOLDER / "batch.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["ray_batch"] = module  # dataclasses look it up
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    (folder / "below").mkdir(parents=True)
    (folder / ".hidden").mkdir()
    (folder / "a.jpg").write_bytes(encode(noise()))
    (folder / "bad.JPG").write_bytes(b"no image")
    (folder / "below" / "c.gif").write_bytes(encode(noise(), "GIF"))
    (folder / ".hidden" / "d.jpg").write_bytes(encode(noise()))
    (folder / "notes.txt").write_text("not for you")
    return folder


def rows(folder: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = pq.read_table(folder).to_pylist()
    return sorted(found, key=lambda row: str(row["path"]))


def test_a_name_that_no_row_could_have_is_said(batch: ModuleType, photos: Path) -> None:
    (photos / os.fsdecode(b"\xff.jpg")).write_bytes(b"no image")
    with pytest.raises(OSError, match=r"xff\.jpg' is not UTF-8. Rename it\."):
        batch.list_images(pafs.LocalFileSystem(), str(photos))


def test_an_actor_writes_a_row_for_every_image(
    batch: ModuleType, store: Path, photos: Path, tmp_path: Path
) -> None:
    target = tmp_path / "labels"
    target.mkdir()
    files = pafs.LocalFileSystem()
    paths = batch.list_images(files, str(photos))
    assert paths == ["a.jpg", "bad.JPG", "below/c.gif"]
    classifier = Classifier(SMALL_V1, store=store, workers=1)
    actor = batch.ClassifyChunks(classifier, 2, str(photos), str(target))
    chunk = [*paths, "gone.jpg"]
    assert actor({"chunk": [chunk]}) == {"classified": [2], "failed": [2]}
    good, bad, gif, gone = rows(target)
    [expected] = classifier.classify([(photos / "a.jpg").read_bytes()], top_k=2)
    assert (good["path"], good["model"], good["resolution"]) == ("a.jpg", SMALL_V1, 128)
    assert [good["label_1"], good["label_2"]] == [one.label for one in expected.predictions]
    assert good["probability_2"] == expected.predictions[1].probability
    assert good["error"] is None
    assert (bad["error"], bad["label_1"]) == ("not-an-image", None)
    assert "JPEG" in bad["error_detail"]
    assert (gif["path"], gif["error"]) == ("below/c.gif", None)
    assert (gone["path"], gone["error"]) == ("gone.jpg", "unreadable-image")
    actor({"chunk": [chunk]})  # after the loss of a node
    assert len(rows(target)) == 4
    assert batch.paths_done(files, str(target)) == set(chunk)
    assert list(target.glob(".*")) == []


def test_a_file_beyond_the_limit_is_a_row_with_its_error(
    batch: ModuleType, store: Path, photos: Path, tmp_path: Path
) -> None:
    size = (photos / "a.jpg").stat().st_size
    for limit, error in ((size, None), (size - 1, "too-many-bytes")):
        classifier = Classifier(SMALL_V1, store=store, workers=1, max_body_bytes=limit)
        target = tmp_path / str(limit)
        target.mkdir()
        batch.ClassifyChunks(classifier, 1, str(photos), str(target))({"chunk": [["a.jpg"]]})
        assert [row["error"] for row in rows(target)] == [error]


def test_a_second_run_cuts_the_same_chunks(batch: ModuleType) -> None:
    paths = [f"{number}.jpg" for number in range(10)]
    whole = list(batch.chunks_left(paths, set(), 4))
    assert whole == [paths[:4], paths[4:8], paths[8:]]
    # what is left are the same chunks, and of one that was cut otherwise the rest
    assert list(batch.chunks_left(paths, {*paths[:4], paths[9]}, 4)) == [paths[4:8], [paths[8]]]
    assert list(batch.chunks_left(paths, set(paths), 4)) == []


def test_one_destination_belongs_to_one_run(batch: ModuleType, tmp_path: Path) -> None:
    files, folder = batch.open_address(str(tmp_path / "new" / "labels"))
    run = batch.Run("photos", SMALL_V1, None, 5)
    batch.check_record(files, folder, run)
    batch.check_record(files, folder, run)
    with pytest.raises(SystemExit, match=f"belongs to another run.*{SMALL_V1}"):
        batch.check_record(files, folder, batch.Run("photos", "another", None, 5))
    assert json.loads((tmp_path / "new" / "labels" / "_run.json").read_text())["top_k"] == 5


def test_an_address_is_a_folder_or_a_file_system(batch: ModuleType, tmp_path: Path) -> None:
    files, path = batch.open_address(f"file://{tmp_path}")
    assert (files.type_name, path) == ("local", str(tmp_path))
    arguments = batch.parser().parse_args(["photos", "s3://labels/2024", "--model", "m"])
    assert arguments.source == str(Path("photos").absolute())  # actors run in other folders
    assert arguments.destination == "s3://labels/2024"
    fsspec = pytest.importorskip("fsspec", reason="needs fsspec; `make check-ray` installs it")
    files, path = batch.open_address("memory://photos")
    assert files.type_name.startswith("py::fsspec")
    files.create_dir("/photos/labels")
    batch.put(files, "/photos/labels/a.parquet", b"content")
    assert fsspec.filesystem("memory").cat("/photos/labels/a.parquet") == b"content"


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_the_job_of_kubernetes_has_only_fields_that_exist() -> None:
    validator = pytest.importorskip(
        "kubernetes_validate", reason="needs kubernetes-validate, which brings the schemas"
    )
    job = yaml.safe_load((FOLDER / "rayjob.yaml").read_text("utf-8"))
    cluster = job["spec"]["rayClusterSpec"]
    head, workers = cluster["headGroupSpec"], cluster["workerGroupSpecs"]
    assert job.keys() == {"apiVersion", "kind", "metadata", "spec"}
    assert job["spec"].keys() <= JOB
    assert cluster.keys() <= CLUSTER
    assert head.keys() <= HEAD
    assert [group.keys() - WORKERS for group in workers] == [set()] * len(workers)
    for group in (head, *workers):
        assert all(isinstance(value, str) for value in group["rayStartParams"].values())
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}, **group["template"]}
        validator.validate(pod, "1.36", strict=True)


def test_the_build_of_the_image_is_sent_what_it_copies() -> None:
    copied = re.findall(
        r"^COPY --chown=\S+ (.+) \S+$", (FOLDER / "Dockerfile").read_text("utf-8"), re.MULTILINE
    )
    sources = {source for line in copied for source in line.split()}
    assert {"pyproject.toml", "models/store", "deploy/ray/batch.py"} <= sources
    rules = (FOLDER / "Dockerfile.dockerignore").read_text("utf-8").splitlines()
    for source in sources:
        folders = [str(folder) for folder in (Path(source), *Path(source).parents)]
        assert any(f"!{folder}" in rules for folder in folders), source
        assert not set(folders[:-1]) & set(rules), source


def test_the_job_of_kubernetes_runs_the_script_without_rights(batch: ModuleType) -> None:
    job = yaml.safe_load((FOLDER / "rayjob.yaml").read_text("utf-8"))
    assert (job["apiVersion"], job["kind"]) == ("ray.io/v1", "RayJob")
    program, script, *arguments = shlex.split(job["spec"]["entrypoint"])
    assert program == "python"
    dockerfile = (FOLDER / "Dockerfile").read_text("utf-8")
    assert f"deploy/ray/batch.py {script}\n" in dockerfile
    parsed = batch.parser().parse_args(arguments)
    assert f"models/store {parsed.store}\n" in dockerfile
    cluster = job["spec"]["rayClusterSpec"]
    assert f"rayproject/ray:{cluster['rayVersion']}-" in dockerfile
    assert cluster["headGroupSpec"]["rayStartParams"]["num-cpus"] == "0"
    for group in (cluster["headGroupSpec"], *cluster["workerGroupSpecs"]):
        pod = group["template"]["spec"]
        [container] = pod["containers"]
        assert pod["securityContext"]["runAsNonRoot"]
        assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
        assert container["resources"]["requests"] == container["resources"]["limits"]
