"""A short run of the fuzzer; `make fuzz` is the long one."""

from pathlib import Path

import pytest

from loadtest.host.gateway import start_gateway
from loadtest.robustness.fuzz import fuzz
from loadtest.robustness.fuzz_cases import KINDS
from loadtest.robustness.mutations import corpus
from tests.conftest import SMALL_V1

REQUESTS = 300
SEED = 1


@pytest.mark.unmeasured
def test_hundreds_of_hostile_requests_do_no_harm(store: Path, tmp_path: Path) -> None:
    log = tmp_path / "log.txt"
    with start_gateway(store, SMALL_V1, log) as server:
        result = fuzz(server, SEED, range(REQUESTS), show_progress=False)
        assert list(result.failures()) == []
        assert result.outcomes.total() == REQUESTS
        assert {kind for _, kind in result.outcomes} == KINDS.keys()
        assert sum(result.outcomes["200", kind] for kind in KINDS) > REQUESTS // 20
        server.post("/predict", "image/png", _whole_image())
    assert "Traceback" not in log.read_text("utf-8")


def _whole_image() -> bytes:
    return next(image for image in corpus() if image.startswith(b"\x89PNG"))
