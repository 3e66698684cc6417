"""More than the service can do: refused at once, dropped in time, and nothing lost."""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from select import select

from app.errors import DeadlineExceeded, Overloaded
from tests.app.problems import assert_problem
from tests.processes import Service, running, until
from tests.robustness.sockets import connection, reply, upload
from tests.robustness.stores import put
from tests.robustness.traffic import (
    HOLDING,
    ONE_WORKER,
    busy,
    busy_image,
    classify,
    holding,
    large_image,
    light_image,
    many,
    slow_image,
)

QUEUE_LIMIT = 4
DROPPED = "gateway_images_total"
SIZE_BYTES = 40_000  # of no other image, so that /models/frontier shows whether it was decoded


def test_beyond_the_queue_requests_get_a_503_and_all_others_their_answer(store: Path) -> None:
    requests = 24
    with running(store, queue_limit=QUEUE_LIMIT, max_images=1, **ONE_WORKER) as service:
        with many(service, busy_image(), requests) as sent:
            statuses = Counter(future.result().status_code for future in sent)
        refused = [future.result() for future in sent if future.result().status_code == 503]
        assert statuses[200] >= 1 + QUEUE_LIMIT
        assert statuses[200] + statuses[503] == requests
        for response in refused:
            assert_problem(response, Overloaded)
            assert int(response.headers["retry-after"]) >= 1
        _nothing_left(service)
        assert service.metric("gateway_requests_total", route="/predict", status="503") == len(
            refused
        )
        assert classify(service, light_image()).status_code == 200


def test_a_refusal_does_not_wait_for_the_work_before_it(store: Path) -> None:
    with (
        running(store, queue_limit=QUEUE_LIMIT, max_images=1, **HOLDING) as service,
        holding(service, 2 + QUEUE_LIMIT) as accepted,
    ):
        assert_problem(classify(service, light_image()), Overloaded)
        with service.client() as client:  # a restart would not help
            assert [client.get(path).status_code for path in ("/healthz", "/readyz")] == [200, 200]
        assert len(select(accepted, [], [], 0)[0]) < len(accepted)
        assert {reply(opened).status for opened in accepted} == {200}


def test_a_share_of_clients_that_meet_a_full_queue_connect_again(store: Path) -> None:
    closed: list[bool] = []
    with running(store, queue_limit=QUEUE_LIMIT, max_images=1, **HOLDING) as service:
        while len(closed) < 80:  # on a slow machine the queue may not be full for so long
            with ExitStack() as stack:
                clients = [stack.enter_context(connection(service)) for _ in range(80)]
                with holding(service, 2 + QUEUE_LIMIT):
                    for client in clients:
                        client.sendall(upload(light_image()))
                    replies = [reply(client) for client in clients]
            refused = [each for each in replies if each.status != 200]
            assert {each.status for each in refused} <= {503}
            closed += [each.headers.get("connection") == "close" for each in refused]
    assert 0 < sum(closed) < len(closed)  # a fifth by lot: none of 80 once in 57 million runs


def test_an_autoscaler_sees_how_many_images_wait(store: Path) -> None:
    with running(store, **ONE_WORKER) as service, many(service, slow_image(), 4):
        until(lambda: 0 < service.metric("gateway_queue_images") < 4, "some wait, one does not")


def test_a_brownout_ends_although_nobody_asks_any_more(tmp_path: Path) -> None:
    put(tmp_path, "mobilenet_v2", 0.35, 224)  # known to be less accurate at lower resolutions
    settings = {"queue_limit": 16, "max_images": 1, "measure_s": 0}
    with running(tmp_path, **settings, **ONE_WORKER) as service:
        for _ in range(9):  # so that images are light as a rule, and the resolution matters
            classify(service, light_image())
        with many(service, busy_image(), 16) as before:
            busy(service, 8)
            assert classify(service, light_image(), "auto").status_code == 200
            assert {future.result().status_code for future in before} == {200}
        # The counter, since on a slow machine it may have ended before the last image was done.
        assert service.metric("gateway_brownout_steps_total", way="down") > 0
        until(lambda: service.metric("gateway_brownout_step") == 0, "it ends")


def test_work_whose_deadline_passed_is_dropped_before_it_is_decoded(store: Path) -> None:
    with running(store, measure_s=0, **HOLDING) as service, holding(service, 4) as before:
        late = classify(service, _padded(), **{"X-Deadline-Ms": "300"})
        detail = assert_problem(late, DeadlineExceeded)
        assert "deadline of 300 ms" in detail
        assert "started 0 of 1 images" in detail
        assert {reply(opened).status for opened in before} == {200}
        _check_dropped(service)
        assert service.metric(DROPPED, outcome="deadline-exceeded") == 1


def test_work_whose_client_has_gone_is_dropped_before_it_is_decoded(store: Path) -> None:
    with running(store, measure_s=0, **HOLDING) as service, holding(service, 6) as before:
        with connection(service) as opened:
            opened.sendall(upload(_padded()))
            busy(service, 5)
        until(lambda: service.metric(DROPPED, outcome="client-gone") == 1, "it is noticed")
        assert {reply(opened).status for opened in before} == {200}
        _check_dropped(service)
        assert service.metric("gateway_requests_total", status="499") == 1


def test_a_client_that_goes_in_the_middle_of_its_body_leaves_nothing_behind(store: Path) -> None:
    with running(store) as service:
        with connection(service) as opened:
            opened.sendall(upload(large_image())[:500_000])
            until(lambda: service.metric("gateway_inflight_body_bytes") > 0, "it arrives")
        until(lambda: service.metric("gateway_requests_total", status="499") == 1, "it is noticed")
        _nothing_left(service)


def test_a_large_request_does_not_hold_up_a_small_one(store: Path) -> None:
    images = [("image", (f"{number}.png", busy_image())) for number in range(24)]
    with (
        running(store, **ONE_WORKER) as service,
        service.client() as client,
        ThreadPoolExecutor(1) as pool,
    ):
        large = pool.submit(client.post, "/predict", files=images)
        busy(service, 6)
        assert classify(service, light_image()).status_code == 200
        assert not large.done()
        assert len(large.result().json()["results"]) == 24


def _padded() -> bytes:
    """A light image with bytes behind its end, which no decoder reads."""
    return light_image().ljust(SIZE_BYTES, b"\0")


def _check_dropped(service: Service) -> None:
    """Nothing of the padded image was decoded; the next one is, which shows that this is seen."""
    _nothing_left(service)
    assert _decoded(service) == 0
    assert classify(service, _padded()).status_code == 200
    assert _decoded(service) == 1


def _decoded(service: Service) -> int:
    """How many images of about the size of the padded one were decoded."""
    with service.client() as client:
        rows = client.get("/models/frontier").json()["decoding"]
    return sum(
        row["samples"] for row in rows if row["image_bytes"] // 2 < SIZE_BYTES <= row["image_bytes"]
    )


def _nothing_left(service: Service) -> None:
    # A worker counts its image a moment after the answer is on its way.
    until(lambda: service.metric("gateway_permits_in_use") == 0, "all work is done")
    for name in ("gateway_queue_images", "gateway_inflight_body_bytes"):
        assert service.metric(name) == 0
