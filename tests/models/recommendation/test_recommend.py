"""Advice before a download, from exact costs and a probe of the machine."""

import json
from itertools import pairwise
from typing import Any

import pytest

from app.card.card import Precision
from models.export.export import predict_file_bytes
from models.network.network import Network
from models.recommendation.latency import LatencyModel
from models.recommendation.probe import NETWORKS, RUNS, Probe, network_session, probe, time_network
from models.recommendation.recommend import (
    Candidate,
    RecommendationLimits,
    candidates,
    recommend,
)
from models.zoo.zoo import zoo
from tests.app.cli_runner import refused, run


@pytest.fixture(scope="module")
def probed() -> Probe:
    return probe()


@pytest.fixture(scope="module")
def offered(probed: Probe) -> list[Candidate]:
    return candidates(zoo().values(), probed, workers=2)


def test_the_probe_finds_a_model_of_this_machine_for_each_precision(probed: Probe) -> None:
    assert probed.models.keys() == {"fp32", "int8"}
    for model in probed.models.values():
        assert any(model.factors)
    assert probed.decode_ms > 0


class Watched:
    """A session that notes the shapes of the images that it is run on."""

    def __init__(self, session: Any) -> None:
        self._session = session
        self.shapes: list[tuple[int, ...]] = []

    def run(self, outputs: list[str], inputs: dict[str, Any]) -> Any:
        self.shapes += [image.shape for image in inputs.values()]
        return self._session.run(outputs, inputs)


def test_a_network_is_timed_at_each_resolution_that_is_asked_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    opened: list[Watched] = []

    def watched(network: Network, precision: Precision) -> Watched:
        opened.append(Watched(network_session(network, precision)))
        return opened[-1]

    monkeypatch.setattr("models.recommendation.probe.network_session", watched)
    family, alpha, _ = NETWORKS[0]
    small, large = time_network(family, alpha, (96, 224), "int8")
    assert min(small.milliseconds, large.milliseconds) > 0
    assert sum(row.madds for row in small.layers) < sum(row.madds for row in large.layers)
    [session] = opened  # one for both
    runs = RUNS + 1
    assert session.shapes == [(1, 96, 96, 3)] * runs + [(1, 224, 224, 3)] * runs


def test_every_model_of_known_accuracy_is_offered_as_trained_and_smaller(
    offered: list[Candidate],
) -> None:
    names = {each.variant.key for each in offered}
    for name, entry in zoo().items():
        if entry.recipe.accuracy:
            assert (name, entry.recipe.resolution) in names
    assert ("mobilenet_v2_1.0_224", 96) in names
    percents = [each.variant.top1.percent for each in offered if each.variant.top1]
    assert len(percents) == len(offered)
    assert percents == sorted(percents, reverse=True)


def test_a_smaller_resolution_is_expected_to_be_faster_and_take_less_memory(
    offered: list[Candidate],
) -> None:
    by_side = {
        each.variant.resolution: each
        for each in offered
        if each.variant.model == "mobilenet_v2_1.0_224"
    }
    sides = sorted(by_side)
    assert sides == [96, 128, 160, 192, 224]
    for small, large in pairwise(sides):
        assert by_side[small].latency_ms < by_side[large].latency_ms
        assert by_side[small].service_bytes < by_side[large].service_bytes


def test_the_most_accurate_model_that_meets_all_limits_is_recommended(
    offered: list[Candidate],
) -> None:
    limits = RecommendationLimits(max_madds=160_000_000, max_service_memory_mb=256, min_top1=50)
    advice = recommend(offered, limits)
    keeping = [each for each in offered if each.meets(limits)]
    assert keeping
    assert advice[0].variant.top1 == keeping[0].variant.top1
    assert all(each.variant.madds <= 160_000_000 for each in advice)
    times_ms = [each.latency_ms for each in advice]
    assert times_ms == sorted(times_ms, reverse=True)


def test_of_equally_accurate_ones_that_whose_accuracy_was_published_comes_first(
    offered: list[Candidate],
) -> None:
    bases = [
        each.variant.top1.basis
        for each in offered
        if each.variant.top1 and each.variant.top1.percent == 57.2
    ]
    assert bases == sorted(bases, key=lambda basis: basis != "published")


# A device on which a dense multiply-add takes 10 ns in float and 4 ns in integers, and no other
# figure counts.
KNOWN = Probe(
    {
        "fp32": LatencyModel("fp32", (1e-5, 0, 0, 0, 0), 0),
        "int8": LatencyModel("int8", (4e-6, 0, 0, 0, 0), 0),
    },
    decode_ms=7.5,
    took_s=1.0,
)


@pytest.mark.parametrize("workers", [1, 4])
@pytest.mark.parametrize(
    ("name", "ns", "factor"),
    [("mobilenet_v2_1.0_224", 10, 2.1), ("mobilenet_v1_0.25_128_int8", 4, 4.3)],
)
def test_a_request_is_expected_to_take_decoding_and_arithmetic_and_memory_for_each_worker(
    name: str, ns: int, factor: float, workers: int
) -> None:
    entry = zoo()[name]
    card = entry.recipe.card(entry.precision)
    dense = sum(row.madds for row in card.cost.layers if row.weights and row.kind != "depthwise")
    [found] = [
        each
        for each in candidates([entry], KNOWN, workers)
        if each.variant.resolution == card.resolution
    ]
    assert found.latency_ms == pytest.approx(7.5 + dense * ns / 1e6)
    assert found.value("max_latency_ms") == found.latency_ms
    file_bytes = predict_file_bytes(entry.recipe, entry.precision)
    peak_bytes = card.cost.peak_activation_bytes
    expected_mb = 108 + factor * (file_bytes + workers * peak_bytes) / 1e6
    assert found.value("max_service_memory_mb") == pytest.approx(expected_mb)


def test_each_limit_is_kept_to_its_last_unit() -> None:
    [each, *_] = candidates([zoo()["mobilenet_v2_1.0_224"]], KNOWN, 1)
    for name in RecommendationLimits.model_fields:
        own = each.value(name)
        worse = own + 1 if name == "min_top1" else own - 1
        assert each.meets(RecommendationLimits(**{name: own}))
        assert not each.meets(RecommendationLimits(**{name: worse}))


def probe_no_more(monkeypatch: pytest.MonkeyPatch, probed: Probe) -> None:
    """Let later commands use what was probed: each would take seconds to repeat it."""
    monkeypatch.setattr("models.recommendation.probe.probe", lambda _: probed)


def test_the_command_says_what_to_pull(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, probed: Probe
) -> None:
    outcome = run(capsys, "models", "recommend", "--max-madds", "60000000", "--json")
    assert outcome.status == 0
    advice = json.loads(outcome.out)
    assert advice["recommended"]["model"] in zoo()
    assert advice["recommended"]["madds"] <= 60_000_000
    best = advice["recommended"]["top1"]
    assert all(row["top1"] <= best for row in advice["faster"])
    probe_no_more(monkeypatch, probed)
    table = run(capsys, "models", "recommend", "--max-madds", "60000000").out
    assert f"models pull {advice['recommended']['model']}" in table


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--max-latency-ms", "0"), "--max-latency-ms: Input should be greater than 0, not 0.0"),
        (("--min-top1", "101"), "--min-top1: Input should be less than or equal to 100"),
        (("--max-madds", "5"), "No model of the zoo meets all limits."),
        (("--max-memory-mb", "50"), "--max-memory-mb 11"),
    ],
)
def test_what_cannot_be_had_is_one_line_that_says_what_could(
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    probed: Probe,
    offered: list[Candidate],
    arguments: tuple[str, ...],
    said: str,
) -> None:
    probe_no_more(monkeypatch, probed)
    monkeypatch.setattr("models.recommendation.recommend.candidates", lambda *_: offered)
    assert said in refused(capsys, "models", "recommend", *arguments)
