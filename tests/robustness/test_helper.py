"""Images that take long hold up nobody else, and their process ends when it should."""

import os
import re
import signal
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from app.errors import DeadlineExceeded, Overloaded, UnsupportedFormat
from loadtest.robustness.structured_images.chunks import webp
from tests.app.problems import assert_problem
from tests.app.sample_images import cat, encode
from tests.processes import MEASURED, Service, running, until
from tests.robustness.sockets import connection, upload
from tests.robustness.traffic import ONE_WORKER, busy, classify, endless_image, light_image, many

LARGE = webp(3500, 3500)  # a third of a second of decoding
TIFF = encode(cat(), "TIFF", compression="tiff_lzw")
NEVER = {**ONE_WORKER, "helper_cpu_s": 600}  # does the image end by itself


def helpers(service: Service) -> list[int]:
    """The helper processes of a service."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text("utf-8").rpartition(")")[2].split()
        except OSError:  # it has just ended
            continue
        if int(fields[1]) == service.pid and fields[0] != "Z":
            found.append(int(path.parent.name))
    return found


def busy_s(pid: int) -> float:
    """Processor time of a process: fields 14 and 15 of proc(5), in ticks."""
    fields = Path(f"/proc/{pid}/stat").read_text("utf-8").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def ended(pid: int) -> bool:
    """Whether a process has ended; who inherited it may not have noticed yet."""
    try:
        return Path(f"/proc/{pid}/stat").read_text("utf-8").rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def test_an_image_that_takes_long_does_not_hold_a_worker(store: Path) -> None:
    with running(store, **NEVER) as service, connection(service) as attacker:
        attacker.sendall(upload(endless_image()))
        until(lambda: helpers(service), "the helper process has it")
        for _ in range(5):
            assert classify(service, light_image()).status_code == 200
        until(lambda: service.metric("gateway_permits_in_use") == 1, "only its place is in use")
        assert service.metric("gateway_queue_images") == 0
        attacker.close()
        until(lambda: not helpers(service), "nobody waits for it, so the process has ended")
        assert classify(service, TIFF).status_code == 200


def test_an_image_that_takes_too_much_processor_time_is_rejected(store: Path) -> None:
    with running(store, helper_cpu_s=0.3, **ONE_WORKER) as service:
        detail = assert_problem(classify(service, endless_image()), UnsupportedFormat)
        assert "limit of 0.3 s of processor time" in detail
        assert classify(service, TIFF).status_code == 200


def test_at_its_deadline_an_image_and_its_process_end(store: Path) -> None:
    with running(store, **NEVER) as service:
        late = classify(service, endless_image(), **{"X-Deadline-Ms": "1500"})
        assert_problem(late, DeadlineExceeded)
        until(lambda: not helpers(service), "the process has ended")
        until(lambda: service.metric("gateway_permits_in_use") == 0, "its place is free")


def test_beyond_its_queue_images_get_a_503_and_others_their_answer(store: Path) -> None:
    with (
        running(
            store, **MEASURED, queue_limit=2, max_images=1, drain_s=0, stop_timeout_s=1, **NEVER
        ) as service,
        ThreadPoolExecutor(3) as pool,
    ):
        slow = [pool.submit(classify, service, endless_image()) for _ in range(3)]
        busy(service, 3)
        refused = assert_problem(classify(service, TIFF), Overloaded)
        assert refused == "Queue full: 2 of 2 images waiting for the helper process."
        assert classify(service, light_image()).status_code == 200
        service.signal(signal.SIGTERM)
        assert {future.result().status_code for future in slow} == {503}


def test_requests_take_turns_at_the_helper_process(store: Path) -> None:
    files = [("image", (f"{number}.webp", LARGE)) for number in range(16)]
    with (
        running(store, deadline_ms=10_000_000) as service,
        service.client() as client,
        ThreadPoolExecutor(1) as pool,
    ):
        large = pool.submit(client.post, "/predict", files=files)
        busy(service, 5)
        assert classify(service, TIFF).status_code == 200
        assert not large.done()
        assert {len(result["predictions"]) for result in large.result().json()["results"]} == {5}


def test_times_of_a_helped_image_add_up(store: Path) -> None:
    with running(store) as service:
        response = classify(service, TIFF)
    [result] = response.json()["results"]
    assert result["decode_ms"] > 0
    assert result["queue_ms"] >= 0
    assert result["inference_ms"] > 0


@pytest.mark.parametrize("signals", [1, 2])
def test_a_stop_ends_the_process(store: Path, signals: int) -> None:
    with running(store, **MEASURED, drain_s=0, stop_timeout_s=1, **NEVER) as service:
        with connection(service) as attacker:
            attacker.sendall(upload(endless_image()))
            until(lambda: helpers(service), "the helper process has it")
            [pid] = helpers(service)
            service.signal(signal.SIGTERM)
            if signals == 2:  # two that are pending would be one
                until(lambda: "requests in flight" in service.log, "the first one is handled")
                service.signal(signal.SIGTERM)
            assert service.wait() == 0
        until(lambda: ended(pid), "the process has ended")
        assert not re.search("Traceback|not start", service.log)


def test_the_process_ends_with_a_service_that_is_killed(store: Path) -> None:
    with running(store, **NEVER) as service, connection(service) as attacker:
        attacker.sendall(upload(endless_image()))
        until(lambda: helpers(service), "the helper process has it")
        [pid] = helpers(service)
        until(lambda: busy_s(pid) > 0.5, "it decodes")
        service.signal(signal.SIGKILL)
        assert service.wait() == -signal.SIGKILL
        until(lambda: ended(pid), "the process has ended, ten minutes before its image")


def test_a_tiff_is_answered_during_a_stop(store: Path) -> None:
    with running(store, **MEASURED, **ONE_WORKER) as service, many(service, TIFF, 6) as accepted:
        busy(service, 1)
        service.signal(signal.SIGTERM)
        assert {future.result().status_code for future in accepted} <= {200, 503}
        assert any(future.result().status_code == 200 for future in accepted)
        assert service.wait() == 0
