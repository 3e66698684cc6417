"""Execution providers: asked for by name, or whatever works; on real sessions of this machine."""

import logging
from pathlib import Path

import numpy as np
import pytest

from app.errors import ModelFileError, SettingError
from app.model import runtime
from app.model.model import load_model
from app.model.providers import Providers, choose, for_runtime, short_names
from app.service.gateway import open_gateway
from app.settings import Provider, Settings
from app.settings_sources import load_settings
from tests.conftest import SMALL_V1
from tests.serving import served

EVERYTHING = ["CPUExecutionProvider", "CUDAExecutionProvider", "TensorrtExecutionProvider"]
ALL: tuple[Provider, ...] = ("xnnpack", "tensorrt", "cuda")
NEVER_HERE = next(name for name in ALL if name not in short_names(runtime.built_in_providers()))


def needs_openvino() -> None:
    if "openvino" not in short_names(runtime.built_in_providers()):
        pytest.skip("needs onnxruntime-openvino, which is not the onnxruntime of this environment")


def test_without_names_everything_that_is_offered_is_tried_from_the_fastest() -> None:
    assert choose((), EVERYTHING).names == ("tensorrt", "cuda", "cpu")


def test_names_keep_their_order_and_the_cpu_comes_last() -> None:
    assert choose(("cuda", "tensorrt"), EVERYTHING).names == ("cuda", "tensorrt", "cpu")
    assert choose(("cpu",), EVERYTHING).names == ("cpu",)


def test_providers_that_this_project_has_no_name_for_are_left_alone() -> None:
    assert choose((), ["AzureExecutionProvider", "CPUExecutionProvider"]).names == ("cpu",)


def test_a_name_that_is_not_offered_is_an_error_that_says_what_is_there() -> None:
    with pytest.raises(SettingError, match=r"does not have cuda\. It has: openvino, cpu"):
        choose(("cuda", "cpu"), ["OpenVINOExecutionProvider", "CPUExecutionProvider"])


def test_an_unknown_name_is_refused_with_the_setting() -> None:
    with pytest.raises(SettingError, match=r"providers \(GATEWAY_PROVIDERS\) is 'gpu'.*'openvino'"):
        load_settings({"providers": "gpu,cpu"})


def test_options_keep_other_providers_to_one_thread_a_worker() -> None:
    assert for_runtime(("openvino", "cpu")) == [
        ("OpenVINOExecutionProvider", {"device_type": "CPU", "num_of_threads": "1"}),
        ("CPUExecutionProvider", {}),
    ]


def test_the_service_does_not_start_without_what_was_asked_for(store: Path) -> None:
    settings = Settings(store=store, providers=(NEVER_HERE,))
    with pytest.raises(SettingError, match=rf"does not have {NEVER_HERE}\. It has: .*cpu"):
        open_gateway(settings)


@pytest.mark.filterwarnings("ignore:Specified provider:UserWarning")
def test_what_was_asked_for_and_fails_to_load_is_an_error(store: Path) -> None:
    asked = Providers((NEVER_HERE,), required=True)
    with pytest.raises(ModelFileError, match=rf"onnx: onnxruntime cannot use {NEVER_HERE} on this"):
        load_model(store / f"{SMALL_V1}.onnx", providers=asked)


@pytest.mark.filterwarnings("ignore:Specified provider:UserWarning")
def test_what_was_only_preferred_falls_back_with_one_line(
    store: Path, caplog: pytest.LogCaptureFixture
) -> None:
    preferred = Providers((NEVER_HERE,))
    with caplog.at_level(logging.INFO, "app.model.providers"):
        models = [load_model(path, providers=preferred) for path in sorted(store.glob("*.onnx"))]
    assert len(models) > 1
    assert [model.providers for model in models] == [["cpu"]] * len(models)
    [line] = caplog.messages
    assert line.startswith(f"Cannot use {NEVER_HERE} on this machine; models run on cpu: ")


@pytest.mark.filterwarnings("ignore:Specified provider:UserWarning")
def test_a_broken_file_does_not_cost_the_others_their_provider(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    broken = tmp_path / "broken.onnx"
    broken.write_bytes(b"no model")
    preferred = Providers((NEVER_HERE,))
    with pytest.raises(ModelFileError, match="not a model that onnxruntime can load"):
        load_model(broken, providers=preferred)
    assert preferred.names == (NEVER_HERE, "cpu")
    assert caplog.messages == []


def test_models_and_info_say_what_each_model_runs_on(store: Path) -> None:
    with served(Settings(store=store, providers=("cpu",))) as client:
        listed = client.get("/models").json()["models"]
        assert [model["providers"] for model in listed] == [["cpu"]] * len(listed)
        assert client.get(f"/models/{SMALL_V1}").json()["providers"] == ["cpu"]
        assert client.get("/info").json()["runs_on"][SMALL_V1] == ["cpu"]


@pytest.mark.parametrize("side", [128, 224])
def test_openvino_gives_the_answers_of_the_cpu_provider(store: Path, side: int) -> None:
    needs_openvino()
    path = store / f"{SMALL_V1}.onnx"
    there = load_model(path, providers=Providers(("openvino",), required=True))
    assert there.providers == ["openvino", "cpu"]
    images = np.random.default_rng(0).integers(0, 256, (2, side, side, 3), np.uint8)
    np.testing.assert_allclose(
        there.probabilities(images), load_model(path).probabilities(images), atol=1e-5
    )
    np.testing.assert_allclose(
        there.embedding(images), load_model(path).embedding(images), atol=1e-3
    )
