"""POST /predict: what a request asks for, and its answer."""

from collections.abc import Sequence
from functools import partial
from json.encoder import encode_basestring as quoted
from time import perf_counter
from typing import NoReturn

from starlette.responses import Response

from app.auto.choice import Choice, Demand, PredictQuery, explicit_choice
from app.errors import RequestError
from app.explain.query import EXTRAS
from app.inference.classify import to_results
from app.inference.head_group import HeadGroup
from app.inference.results import ImageResult
from app.inference.scheduler import Ticket
from app.request.admitted import AdmittedRequest
from app.request.body import split_images
from app.request.content_encoding import decompress
from app.request.problem_response import problem_response
from app.request.query_string import parse_query
from app.service.gateway import Gateway
from app.telemetry.record import ImageRecord, Record
from app.wire import Headers


class JsonResponse(Response):
    """JSON that is written already; starlette makes headers from all that others may have."""

    def __init__(self, body: bytes) -> None:
        self.status_code = 200
        self.background = None
        self.body = body
        self.raw_headers = [
            (b"content-length", b"%d" % len(body)),
            (b"content-type", b"application/json"),
        ]


class PredictionRequest(AdmittedRequest):
    """One request for labels. In order: `open`, `take` for the body, `start`, `answer`, `close`."""

    __slots__ = ("_choice", "_content_encoding", "_content_type", "_query", "_started")

    def __init__(self, gateway: Gateway, record: Record) -> None:
        super().__init__(gateway, record)
        self._query: PredictQuery
        self._choice: Choice | None = None  # `auto` chooses when the body is complete
        self._content_type = ""
        self._content_encoding = ""
        self._started = 0.0

    def open(self, query_string: bytes, headers: Headers) -> None:
        """Read what the head asks for; `headers` have lower-case names.

        Raises:
            RequestError: the request cannot be answered, whatever its body is.
        """
        self.admit(headers)
        self._query = parse_query(PredictQuery, query_string)
        choice = explicit_choice(
            self._query, self.gateway.store, auto_by_default=self.gateway.auto_by_default
        )
        if choice is not None:
            self._use(choice)
        found = dict(headers)
        self._content_type = found.get(b"content-type", b"").decode("latin-1")
        self._content_encoding = found.get(b"content-encoding", b"").decode("latin-1")

    def start(self) -> Ticket[ImageResult]:
        settings = self.gateway.settings
        body = self.body()
        if self._content_encoding:
            body = decompress(body, self._content_encoding, settings.max_body_bytes)
            self.hold_instead(len(body))
        images = split_images(body, self._content_type, settings.max_images)
        choice = self._choice or self._choose(images)
        self._started = perf_counter()
        run = self.gateway.classifier.classify
        if self._query.model_fields_set & EXTRAS or isinstance(choice.model, HeadGroup):
            run = self.gateway.classification(choice.model, self._query)
        classify = partial(
            run, model=choice.model, resolution=choice.resolution, top_k=self._query.top_k
        )
        return self.submit(
            [
                partial(classify, image) if isinstance(image, bytes) else partial(_fail, image)
                for image in images
            ]
        )

    def answer(self, outcomes: Sequence[ImageResult | Exception]) -> Response:
        results = to_results(outcomes)
        self.record.results = [
            ImageRecord(
                result.queue_ms,
                result.decode_ms,
                result.inference_ms,
                outcome if isinstance(outcome, RequestError) else None,
            )
            for result, outcome in zip(results, outcomes, strict=True)
        ]
        choice = self._choice
        assert choice is not None  # noqa: S101  `start` has set it
        if choice.note is not None:
            self.gateway.chooser.learn(choice, (perf_counter() - self._started) * 1000)
        text = (
            f'{{"model":{quoted(choice.model.name)},"resolution":{choice.resolution},'
            f'"results":[{",".join([result.to_json() for result in results])}]'
        )
        if choice.note is not None:
            text += f',"choice":{choice.note.model_dump_json()}'
        return JsonResponse(f"{text}}}".encode())

    def reject(self, error: RequestError) -> Response:
        """Make the response to an error that ends the request."""
        self.fail(error)
        return problem_response(error)

    def close(self) -> None:
        """Release everything, including the model, which a reload may drop meanwhile."""
        super().close()
        self._choice = None

    def _choose(self, images: Sequence[bytes | RequestError]) -> Choice:
        """Let `auto` choose what is best for these images now."""
        sizes = [len(image) for image in images if isinstance(image, bytes)]
        demand = Demand(len(images), max(sizes, default=0))
        choice = self.gateway.chooser.choose(self._query, demand, self.deadline_ms)
        self._use(choice)
        return choice

    def _use(self, choice: Choice) -> None:
        self._choice, self.record.model = choice, choice.model.card.name


def _fail(error: RequestError, _: float) -> NoReturn:
    """The job of an image that cannot be decoded from its JSON."""
    raise error
