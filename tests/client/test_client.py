"""Both clients against the real service, and against servers that misbehave."""

import asyncio
import inspect
import io
import socket
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from threading import Thread
from typing import Any

import httpx
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mobilenet_gateway_client import (
    AsyncClient,
    BadQuery,
    Client,
    ClientError,
    Closed,
    ImageProblem,
    NotAGateway,
    Options,
    Problem,
    Retry,
    Unauthorized,
    Unavailable,
    UnknownModel,
    Unreachable,
    UnreadableImage,
)
from mobilenet_gateway_client._calls import bodies
from mobilenet_gateway_client._images import encode as encode_source
from mobilenet_gateway_client._pace import pace
from mobilenet_gateway_client._results import Info
from PIL import ExifTags, Image, ImageOps

from app import errors as server_errors
from app.settings import Settings
from tests.app.sample_images import encode, noise
from tests.client.scripted import GOOD, INFO, Reply, overloaded, scripted
from tests.conftest import SMALL_V1, SMALL_V2
from tests.processes import LIVELINESS_S, running
from tests.serving import served

NEVER = Retry(patience_s=0)
Do = Callable[..., Any]


def do_sync(
    url: str,
    method: str,
    *arguments: Any,
    retry: Retry = NEVER,
    timeout_s: float = LIVELINESS_S,
    **options: Any,
) -> Any:
    with Client(url, retry=retry, timeout_s=timeout_s) as client:
        return getattr(client, method)(*arguments, **options)


def do_async(
    url: str,
    method: str,
    *arguments: Any,
    retry: Retry = NEVER,
    timeout_s: float = LIVELINESS_S,
    **options: Any,
) -> Any:
    async def run() -> Any:
        async with AsyncClient(url, retry=retry, timeout_s=timeout_s) as client:
            return await getattr(client, method)(*arguments, **options)

    return asyncio.run(run())


both = pytest.mark.parametrize("do", [do_sync, do_async], ids=["sync", "async"])


@pytest.fixture(scope="module")
def url(client: httpx.Client) -> str:
    return str(client.base_url).rstrip("/")


@both
def test_every_type_of_image_source_is_classified_alike(do: Do, url: str, tmp_path: Path) -> None:
    image = noise()
    file = tmp_path / "noise.png"
    image.save(file)
    forms = [file, str(file), file.read_bytes(), image, np.asarray(image)]
    answers = [do(url, "classify", form, top_k=3).predictions for form in forms]
    assert len(answers[0]) == 3
    assert all(answer == answers[0] for answer in answers)
    several = do(url, "classify", forms, top_k=3)
    for one in several:  # beside others, but the same pixels
        assert [p.class_id for p in one.predictions] == [p.class_id for p in answers[0]]


@both
def test_a_list_keeps_its_order_and_an_error_its_place(do: Do, url: str, tmp_path: Path) -> None:
    images: list[Any] = [encode(noise(seed=seed)) for seed in range(21)]
    images[4], images[11] = b"no image", tmp_path / "missing.jpg"
    found = do(url, "classify", images, model=SMALL_V2, resolution=128, top_k=1)
    assert [index for index, one in enumerate(found) if one.error] == [4, 11]
    assert isinstance(found[4].error, ImageProblem)
    assert found[4].error.type == "not-an-image"
    assert isinstance(found[11].error, UnreadableImage)
    alone = do(url, "classify", images[20], model=SMALL_V2, resolution=128, top_k=1)
    assert found[20].label == alone.label
    assert (alone.model, alone.resolution) == (SMALL_V2, 128)


@both
def test_embeddings_are_those_of_the_http_answer(
    do: Do, url: str, client: httpx.Client, tmp_path: Path
) -> None:
    images = [encode(noise(seed=seed)) for seed in range(2)]
    sent = [
        client.post(f"/predict?model={SMALL_V2}&embedding=true", content=image).json()
        for image in images
    ]
    expected = [np.float32(answer["results"][0]["embedding"]) for answer in sent]
    one = do(url, "embed", images[0], model=SMALL_V2)
    assert (one.typecode, len(one)) == ("f", 1280)
    several = do(url, "embed", images, model=SMALL_V2)
    assert np.asarray([one, *several]) == pytest.approx(
        np.stack([expected[0], *expected]), abs=1e-5
    )
    at_another_side = do(url, "embed", images[0], model=SMALL_V2, resolution=128)
    assert np.abs(np.asarray(at_another_side) - expected[0]).max() > 1e-3
    for bad, kind in ((b"no image", ImageProblem), (tmp_path / "missing.jpg", UnreadableImage)):
        with pytest.raises(kind):
            do(url, "embed", bad)
        with pytest.raises(kind):
            do(url, "embed", [images[0], bad])


@both
def test_a_gateway_that_leaves_the_embedding_out_is_noticed(do: Do) -> None:
    with scripted([GOOD]) as script, pytest.raises(NotAGateway, match="without the embedding"):
        do(script.url, "embed", b"x")


@both
def test_a_classification_has_its_embedding_on_demand(do: Do, url: str) -> None:
    image = encode(noise())
    with_it, without = (do(url, "classify", image, embedding=asked) for asked in (True, False))
    assert (len(with_it.embedding), without.embedding) == (256, None)  # SMALL_V1 at a quarter
    assert with_it.predictions == without.predictions


def closed_image() -> Image.Image:
    image = noise()
    image.close()
    return image


def broken_png() -> Image.Image:
    data = bytearray(encode(noise(400, 300), "PNG"))
    chunk = data.index(b"IDAT", data.index(b"IDAT") + 4)
    data[chunk : chunk + 4] = b"\xff\xff\xff\xff"
    return Image.open(io.BytesIO(data))


@both
@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda: "a\0b.jpg", "null byte"),
        (lambda: "a\ud800.jpg", "surrogates not allowed"),
        (closed_image, "closed image"),
        (broken_png, "broken PNG"),
    ],
    ids=["nul", "surrogate", "closed", "broken"],
)
def test_an_unreadable_image_does_not_affect_the_others(
    do: Do, url: str, make: Callable[[], Any], reason: str
) -> None:
    good, bad, also_good = do(url, "classify", [noise(), make(), noise()])
    assert good.label == also_good.label
    assert isinstance(bad.error, UnreadableImage)
    assert reason in bad.error.detail
    with pytest.raises(UnreadableImage, match=reason):
        do(url, "classify", make())


@both
def test_what_a_damaged_file_lacks_is_a_warning(do: Do, url: str) -> None:
    whole = encode(noise(300, 200), "JPEG")
    cut = whole[: int(len(whole) * 0.95)] + b"\xff\xd9"
    found = do(url, "classify", [whole, cut])
    assert (found[0].warnings, found[1].error) == ((), None)
    [warning] = found[1].warnings
    assert "ends before its last pixel" in warning


@both
def test_each_error_has_its_class(do: Do, url: str) -> None:
    image = encode(noise())
    with pytest.raises(UnknownModel, match=SMALL_V1):
        do(url, "classify", image, model="nope")
    with pytest.raises(UnknownModel):
        do(url, "classify", [image, image], model="nope")
    with pytest.raises(UnknownModel):
        do(url, "layers", "no?pe")
    with pytest.raises(BadQuery, match="resolution"):
        do(url, "classify", image, resolution=100)
    with pytest.raises(BadQuery, match="max_params"):
        do(url, "classify", image, model="auto", budget={"max_params": 1})
    with pytest.raises(ImageProblem, match="image format") as caught:
        do(url, "classify", b"no image")
    assert caught.value.status == 400
    with pytest.raises(UnreadableImage, match="float64"):
        do(url, "classify", np.zeros((2, 2)))
    assert do(url, "classify", []) == []


@both
def test_models_and_layers_are_what_the_service_says(
    do: Do, url: str, client: httpx.Client
) -> None:
    models = do(url, "models")
    sent = client.get("/models").json()["models"]
    assert [(one.name, one.madds, one.params, one.state) for one in models] == [
        (row["name"], row["madds"], row["params"], "loaded") for row in sent
    ]
    table = do(url, "layers", SMALL_V1, resolution=224)
    assert table.resolution == 224
    assert sum(layer.madds for layer in table.layers) == table.madds
    info = do(url, "info")
    assert (info.default_model, info.default_reason) == (
        SMALL_V1,
        client.get("/info").json()["default_reason"],
    )


@both
def test_a_key_opens_what_needs_one(do: Do, store: Path) -> None:
    settings = Settings(store=store, models=(SMALL_V1,), api_keys=("secret",))
    with served(settings) as opened:
        url = str(opened.base_url)
        with pytest.raises(Unauthorized):
            do(url, "models")
        with Client(url, api_key="secret") as client:
            assert client.models()[0].name == SMALL_V1


@both
def test_a_503_is_retried_no_sooner_than_it_says(do: Do) -> None:
    with scripted([overloaded("0.3"), overloaded("0.2"), GOOD]) as script:
        assert do(script.url, "classify", b"x", retry=Retry()).predictions
    first, second, third = script.seen
    assert second - first >= 0.3
    assert third - second >= 0.2


@both
def test_a_503_that_lasts_is_raised_when_patience_ends(do: Do) -> None:
    with (
        scripted([overloaded("0")]) as script,
        pytest.raises(Unavailable, match="Queue full: 64 of 64 images waiting"),
    ):
        do(script.url, "classify", b"x", retry=Retry(patience_s=2, first_s=0.02, longest_s=0.02))
    assert len(script.seen) > 2
    with scripted([overloaded("3600")]) as script, pytest.raises(Unavailable):
        do(script.url, "classify", b"x", retry=Retry())
    assert len(script.seen) == 1  # it would not have been worth the wait


@both
def test_a_broken_connection_is_retried(do: Do) -> None:
    with scripted([Reply(0), GOOD]) as script:
        assert do(script.url, "classify", b"x", retry=Retry(first_s=0.01)).predictions
    assert len(script.seen) == 2


@both
@pytest.mark.parametrize("status", [400, 401, 404, 408, 413, 422, 429, 499, 500, 501, 502, 504])
def test_no_other_error_is_retried(do: Do, status: int) -> None:
    """Not a 504 either: whoever waited for its deadline has waited long enough."""
    with scripted([Reply(status, {}, {"Retry-After": "0"}), GOOD]) as script:
        with pytest.raises(Problem, match=str(status)):
            do(script.url, "classify", b"x", retry=Retry(first_s=0.01))
        assert len(script.seen) == 1


@both
def test_an_answer_that_does_not_come_is_not_waited_for_again(do: Do) -> None:
    with scripted([Reply(None)]) as script:
        with pytest.raises(Unreachable, match=r"does not answer: (timed out|ReadTimeout)$"):
            do(script.url, "classify", b"x", retry=Retry(first_s=0.01), timeout_s=0.3)
        assert len(script.seen) == 1


@both
@pytest.mark.parametrize("body", [[], {}, {"results": 1}, "text"], ids=str)
def test_another_service_is_recognized(do: Do, body: Any) -> None:
    with scripted([Reply(200, body)]) as script:
        for method, argument in [("classify", (b"x",)), ("models", ()), ("layers", ("m",))]:
            with pytest.raises(NotAGateway, match="like mobilenet-gateway"):
                do(script.url, method, *argument)


@both
def test_a_password_in_the_address_is_in_no_message_and_no_log(
    do: Do, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    caplog.set_level("DEBUG", "httpx")  # which a service in this process makes quieter
    for reply in (Reply(200, []), Reply(502, "text"), Reply(0)):
        with scripted([reply]) as script, pytest.raises(ClientError) as failure:
            do(script.url.replace("://", "://me:secret@"), "info")
        assert "secret" not in str(failure.value)
    assert "/info" in caplog.text
    assert "secret" not in caplog.text
    for address in ("http://me:secret@gateway:port", "me:secret@gateway", "http://me:se/cret@x"):
        with pytest.raises(ValueError, match="Invalid address") as rejection:
            do(address, "info")
        assert "cret" not in str(rejection.value)


@both
def test_an_unreachable_gateway_is_reported_with_its_address(do: Do) -> None:
    with socket.socket() as taken:  # bound and not listening
        taken.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(Unreachable, match=address):
            do(address, "models")


class NoRetry(Retry):
    """Fails the test if the client considers a retry, which `NEVER` would hide."""

    def wait_s(self, failures: int, retry_after_s: float, spent_s: float) -> float | None:
        raise AssertionError("asked again")


@both
def test_an_invalid_certificate_is_not_retried_and_reported_with_the_way_out(
    do: Do, store: Path, certificate: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    cert, key = certificate
    settings = {"models": SMALL_V1, "measure_s": 0}
    with running(store, **settings, tls_cert=cert, tls_key=key) as service:
        with pytest.raises(Unreachable, match=r"self-signed certificate\. Set SSL_CERT_FILE"):
            do(service.base_url, "info", retry=NoRetry())
        monkeypatch.setenv("SSL_CERT_FILE", str(cert))  # as the message says
        assert do(service.base_url, "info").default_model == SMALL_V1
        elsewhere = service.base_url.replace("127.0.0.1", "localhost")
        with pytest.raises(Unreachable, match="not valid for 'localhost'"):
            do(elsewhere, "info", retry=NoRetry())


@both
def test_https_to_a_service_without_tls_is_not_retried(do: Do, url: str) -> None:
    with pytest.raises(Unreachable, match=r"does not speak TLS\. Try an address with http://"):
        do(url.replace("http:", "https:"), "info", retry=NoRetry())


@pytest.mark.parametrize("kind", [Client, AsyncClient])
@pytest.mark.parametrize(
    "address",
    ["", "gateway:8000", "ftp://gateway", "http://", "http://[::1", "http://gateway:port"],
)
def test_a_malformed_address_is_rejected(kind: type, address: str) -> None:
    with pytest.raises(ValueError, match=r"^Invalid address .* Use one such as http"):
        kind(address)


@pytest.mark.parametrize("kind", [Client, AsyncClient])
@pytest.mark.parametrize("requests", [0, -1])
def test_less_than_one_request_at_once_is_rejected(kind: type, requests: int) -> None:
    with pytest.raises(ValueError, match=f"concurrency is {requests}. It must be at least 1."):
        kind("http://gateway", concurrency=requests)


@pytest.mark.parametrize("kind", [Client, AsyncClient])
def test_a_key_or_a_proxy_that_cannot_be_used_is_rejected(
    kind: type, monkeypatch: pytest.MonkeyPatch
) -> None:
    for key in ("schlüssel", "two\nlines"):
        with pytest.raises(ValueError, match="The API key may contain"):
            kind("http://gateway", api_key=key)
    monkeypatch.setenv("ALL_PROXY", "pigeon://gateway")
    with pytest.raises(ValueError, match="Cannot use the proxy or certificates"):
        kind("http://gateway")


def test_closing_ends_the_wait_for_another_attempt() -> None:
    with scripted([overloaded("20")]) as script:
        client = Client(script.url, retry=Retry(patience_s=60))
        raised: list[BaseException] = []

        def ask() -> None:
            try:
                client.models()
            except ClientError as error:
                raised.append(error)

        thread = Thread(target=ask)
        thread.start()
        while not script.seen:
            thread.join(0.01)
        client.close()
        thread.join(LIVELINESS_S)
        assert not thread.is_alive()
    assert isinstance(raised[0], Closed)


def test_connections_are_kept() -> None:
    with scripted([GOOD]) as script, Client(script.url) as ours:
        for _ in range(3):
            ours.classify(b"x")
        pool = ours._servers.all[0].http._transport._pool  # type: ignore[attr-defined]  # httpx shows no pool
        assert len(pool.connections) == 1


def test_no_more_of_a_stream_is_read_than_is_in_flight(url: str) -> None:
    taken = 0

    def images() -> Any:
        nonlocal taken
        for seed in range(1000):
            taken += 1
            yield encode(noise(40, 40, seed))

    with Client(url, concurrency=2) as client:
        answers = client.classify_each(images())
        next(answers)
        answers.close()
    assert taken <= 2 * 8


def test_a_stream_is_asked_for_with_options(url: str) -> None:
    options = Options(model=SMALL_V2, top_k=2)

    async def ask() -> list[Any]:
        async with AsyncClient(url) as client:
            return [one async for _, one in client.classify_each([encode(noise())], options)]

    with Client(url) as client:
        answers = [one for _, one in client.classify_each([encode(noise())], options)]
    for found in (*answers, *asyncio.run(ask())):
        assert (found.model, len(found.predictions)) == (SMALL_V2, 2)


async def _collected(url: str, images: list[bytes]) -> tuple[list[Any], ClientError | None]:
    """What the client with an event loop gives of a stream, and what ended it."""
    found = []
    async with AsyncClient(url, retry=NEVER, concurrency=2) as client:
        try:
            async for pair in client.classify_each(images):
                found.append(pair)
        except ClientError as error:
            return found, error
    return found, None


def collected_sync(url: str, images: list[bytes]) -> tuple[list[Any], ClientError | None]:
    found = []
    with Client(url, retry=NEVER, concurrency=2) as client:
        try:
            for pair in client.classify_each(images):
                found.append(pair)
        except ClientError as error:
            return found, error
    return found, None


def collected_async(url: str, images: list[bytes]) -> tuple[list[Any], ClientError | None]:
    return asyncio.run(_collected(url, images))


@pytest.mark.parametrize("collect", [collected_sync, collected_async])
def test_the_answers_of_other_requests_are_kept_when_one_fails(collect: Do) -> None:
    slow = replace(GOOD, after_requests=3)
    with scripted([INFO, slow, Reply(502, {})]) as script:
        found, error = collect(script.url, [b"x", b"y", b"z"])
    assert [one.label for _, one in found] == [GOOD.body["results"][0]["predictions"][0]["label"]]
    assert isinstance(error, Problem)
    assert len(script.seen) == 3  # nothing is begun any more


def test_both_clients_have_the_same_methods_and_arguments() -> None:
    for name in ("__init__", "classify", "classify_each", "embed", "models", "layers", "info"):
        ours, theirs = (inspect.signature(getattr(k, name)) for k in (Client, AsyncClient))
        assert ours.parameters.keys() == theirs.parameters.keys()
        for parameter in ours.parameters:
            assert ours.parameters[parameter].default == theirs.parameters[parameter].default


def test_every_image_error_of_the_service_is_an_image_problem() -> None:
    def below(kind: type[server_errors.RequestError]) -> list[type[server_errors.RequestError]]:
        return [k for sub in kind.__subclasses__() for k in (sub, *below(sub))]

    from mobilenet_gateway_client._errors import to_problem

    for kind in below(server_errors.ImageError):
        found = to_problem({"type": kind.type, "title": "", "status": 400, "detail": ""})
        assert isinstance(found, ImageProblem), kind


@given(
    workers=st.integers(1, 256),
    queue_limit=st.integers(1, 4096),
    max_images=st.integers(1, 1000),
    asked=st.none() | st.integers(1, 256),
    gateways=st.integers(1, 5),
)
def test_a_client_leaves_half_of_the_queue_to_others(
    workers: int, queue_limit: int, max_images: int, asked: int | None, gateways: int
) -> None:
    settings = {"queue_limit": queue_limit, "max_images": max_images}
    found = pace([Info("", workers, (), "", "", settings)] * gateways, asked)
    assert found.images >= 1 <= found.requests
    assert found.images <= max_images
    if asked is None:
        assert found.images * found.requests <= gateways * max(1, queue_limit // 2)
    else:
        assert found.requests == asked


@given(
    failures=st.integers(1, 10_000),
    floor_s=st.floats(0, 100),
    spent_s=st.floats(0, 100),
    patience_s=st.floats(0, 200),
)
def test_waits_are_bounded_from_both_sides(
    failures: int, floor_s: float, spent_s: float, patience_s: float
) -> None:
    wait_s = Retry(patience_s).wait_s(failures, floor_s, spent_s)
    if wait_s is not None:
        assert floor_s <= wait_s <= floor_s + 5
        assert spent_s + wait_s <= patience_s


@pytest.mark.parametrize(
    ("failures", "low_s", "high_s"),
    [(1, 0.05, 0.1), (2, 0.1, 0.2), (3, 0.2, 0.4), (6, 1.6, 3.2), (7, 2.5, 5.0), (99, 2.5, 5.0)],
)
def test_waits_double_from_a_tenth_to_five_seconds_and_are_shortened_by_up_to_half(
    failures: int, low_s: float, high_s: float
) -> None:
    waits = [Retry(3600).wait_s(failures, 0, 0) for _ in range(200)]
    assert all(wait_s is not None and low_s <= wait_s <= high_s for wait_s in waits)
    known = [wait_s for wait_s in waits if wait_s is not None]
    assert min(known) < low_s + (high_s - low_s) / 4  # spread over all of it
    assert max(known) > high_s - (high_s - low_s) / 4


def test_patience_is_thirty_seconds_from_the_start_of_the_call() -> None:
    assert Retry().wait_s(1, 0, 29.8) is not None
    assert Retry().wait_s(1, 0, 29.99) is None
    assert Retry().wait_s(1, 28.0, 1.0) is not None
    assert Retry().wait_s(1, 30.0, 0.1) is None


@pytest.mark.parametrize(
    ("workers", "queue_limit", "asked", "requests", "images"),
    [
        pytest.param(1, 64, None, 2, 8, id="one worker"),
        pytest.param(4, 64, None, 5, 6, id="half of the queue"),
        pytest.param(16, 1024, None, 17, 8, id="many workers"),
        pytest.param(4, 1, None, 1, 1, id="no queue"),
        pytest.param(4, 64, 1, 1, 8, id="one by one"),
        pytest.param(4, 64, 16, 16, 2, id="as asked"),
    ],
)
def test_one_request_more_than_workers_with_eight_images_each(
    workers: int, queue_limit: int, asked: int | None, requests: int, images: int
) -> None:
    info = Info("", workers, (), "", "", {"queue_limit": queue_limit, "max_images": 32})
    found = pace([info], asked)
    assert (found.requests, found.images) == (requests, images)


@both
def test_options_arrive_in_the_units_of_the_api(do: Do) -> None:
    budget = {"max_latency_ms": 12.5, "min_top1": 60}
    with scripted([GOOD]) as script:
        do(script.url, "classify", b"x", model="auto", top_k=3, deadline_ms=1500, budget=budget)
    [path], [headers] = script.paths, script.headers
    assert headers["X-Deadline-Ms"] == "1500"
    assert headers["Content-Type"] == "application/octet-stream"
    assert httpx.URL(path).params == httpx.QueryParams(
        {"model": "auto", "top_k": "3", "max_latency_ms": "12.5", "min_top1": "60"}
    )


def test_a_body_of_several_images_has_at_most_four_megabytes() -> None:
    sizes = [3 * 2**20, 2**20, 1, 5 * 2**20, 1, 4 * 2**20]
    split = [[len(image) for image in body] for body in bodies([bytes(n) for n in sizes])]
    assert split == [[3 * 2**20, 2**20], [1], [5 * 2**20], [1], [4 * 2**20]]


def test_pixels_of_any_mode_arrive(url: str) -> None:
    with Client(url) as client:
        for mode in ("L", "RGBA", "CMYK", "P", "1", "I;16"):
            assert client.classify(Image.new(mode, (40, 30))).predictions
        assert client.classify(np.zeros((30, 40), np.uint8)).predictions


@pytest.mark.parametrize("orientation", range(1, 9))
def test_an_opened_photo_is_turned_as_its_file_is(orientation: int, tmp_path: Path) -> None:
    path, exif = tmp_path / "photo.jpg", Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    noise(48, 32).save(path, exif=exif)
    with Image.open(path) as opened, Image.open(io.BytesIO(encode_source(opened))) as sent:
        assert np.array_equal(np.asarray(sent), np.asarray(ImageOps.exif_transpose(opened)))


@pytest.mark.parametrize("mode", ["F", "I"])
def test_pixels_without_a_scale_are_rejected(mode: str) -> None:
    with pytest.raises(UnreadableImage, match=f"mode {mode} do not define which values are black"):
        encode_source(Image.new(mode, (40, 30)))


def test_an_opened_file_that_is_cut_off_is_an_unreadable_image() -> None:
    with (
        Image.open(io.BytesIO(encode(noise(400, 300))[:-2000])) as opened,
        pytest.raises(UnreadableImage, match="Cannot read the image: image file is truncated"),
    ):
        encode_source(opened)
