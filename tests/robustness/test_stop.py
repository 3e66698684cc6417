"""The process is told to stop, and loses nothing that it accepted."""

import re
import signal
import socket
from pathlib import Path

import pytest

from app.errors import Stopping
from tests.app.problems import assert_problem
from tests.processes import LIVELINESS_S, MEASURED, handles_signals, launch, running, until
from tests.robustness.sockets import connection, reply, upload
from tests.robustness.traffic import (
    ONE_WORKER,
    busy,
    classify,
    large_image,
    light_image,
    load,
    many,
    slow_image,
)

FOR_EVER = {"deadline_ms": 10_000_000, "stop_timeout_s": 10_000}
HELD = "gateway_inflight_body_bytes"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_accepted_work_is_answered_and_new_work_refused(store: Path, number: int) -> None:
    requests = 2  # one is decoded, the other waits
    with (
        running(store, **MEASURED, **FOR_EVER | ONE_WORKER) as service,
        service.client() as other,
        connection(service) as last,
    ):
        whole = upload(large_image())
        last.sendall(whole[:500_000])  # the stop cannot end before the rest has been sent
        until(lambda: service.metric(HELD) > 0, "the upload began")
        with many(service, slow_image(), requests) as accepted:
            busy(service, requests)
            service.signal(number)
            until(lambda: other.get("/readyz").status_code == 503, "it is not ready any more")
            assert_problem(other.get("/readyz"), Stopping)
            refused = classify(service, light_image())
            assert_problem(refused, Stopping)
            assert refused.headers["connection"] == "close"
            assert other.get("/healthz").status_code == 200
            assert {future.result().status_code for future in accepted} == {200}
        last.sendall(whole[500_000:])
        assert reply(last).status == 200
        assert service.wait() == 0
        assert "Traceback" not in service.log


def test_a_stop_under_load_loses_no_request_that_was_accepted(store: Path) -> None:
    with running(store, **MEASURED) as service:
        with load(service) as seen:
            service.signal(signal.SIGTERM)
            assert service.wait() == 0
        answered = re.findall(r"POST /predict (\d+)", service.log)
        assert answered.count("200") == seen["200"]
        assert answered.count("503") == seen["503"]
        assert set(answered) <= {"200", "503"}


def test_an_upload_under_way_may_still_be_finished(store: Path) -> None:
    with running(store, **MEASURED) as service, connection(service) as opened:
        request = upload(large_image())
        opened.sendall(request[:500_000])
        until(lambda: service.metric(HELD) > 0, "the upload began")
        service.signal(signal.SIGTERM)
        until(lambda: "Shutting down: 1 requests" in service.log, "the stop began")
        opened.sendall(request[500_000:])
        assert reply(opened).status == 200
        assert service.wait() == 0


def test_an_upload_that_never_ends_is_cut_off_when_the_time_to_stop_is_over(store: Path) -> None:
    settings = FOR_EVER | {"stop_timeout_s": 0.6}
    with running(store, **MEASURED, **settings) as service, connection(service) as opened:
        _begin_upload(opened)
        until(lambda: service.metric(HELD) > 0, "the upload began")
        service.signal(signal.SIGTERM)
        assert reply(opened).status == 503
        assert service.wait() == 0
        assert "Stopped with 1 requests unfinished" in service.log
        assert "Traceback" not in service.log


def test_a_second_signal_ends_the_process_at_once(store: Path) -> None:
    with running(store, **MEASURED, **FOR_EVER) as service, connection(service) as opened:
        _begin_upload(opened)
        until(lambda: service.metric(HELD) > 0, "the upload began")
        service.signal(signal.SIGTERM)
        until(lambda: "Shutting down: 1 requests" in service.log, "the stop began")
        service.signal(signal.SIGTERM)
        assert reply(opened).status == 503
        assert service.wait() == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stop_while_starting_ends_the_process(store: Path, tmp_path: Path, number: int) -> None:
    process = launch(store, tmp_path / "log.txt", **MEASURED)
    try:
        until(lambda: handles_signals(process.pid), "signals are handled")
        process.send_signal(number)
        assert process.wait(LIVELINESS_S) == 0
        assert "Traceback" not in (tmp_path / "log.txt").read_text("utf-8")
    finally:
        process.kill()
        process.wait()


def test_a_reload_while_starting_does_no_harm(store: Path, tmp_path: Path) -> None:
    process = launch(store, tmp_path / "log.txt")
    try:
        until(lambda: handles_signals(process.pid), "signals are handled")
        process.send_signal(signal.SIGHUP)
        until(lambda: "listening" in (tmp_path / "log.txt").read_text("utf-8"), "it listens")
        assert process.poll() is None
    finally:
        process.kill()
        process.wait()


def test_a_process_killed_under_load_can_be_started_again_at_once(store: Path) -> None:
    with running(store) as first:
        with load(first) as seen:
            first.signal(signal.SIGKILL)
            first.wait()
        assert seen["200"] >= 1
        with running(store, port=first.port) as second:
            assert classify(second, light_image()).status_code == 200


def _begin_upload(opened: socket.socket) -> None:
    opened.sendall(upload(bytes(1_000_000))[:500_000])
