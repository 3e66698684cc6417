"""POST /predict, whichever way it came in: what it asks for, and its answer."""

from collections.abc import Sequence
from functools import partial
from time import perf_counter

from fastapi.responses import Response

from app.auto.chooser import Choice, Demand
from app.errors import RequestError
from app.http.error_responses import respond
from app.http.schemas import Answer, ImageResult, PredictQuery
from app.inference.classify import to_results
from app.inference.scheduler import Ticket
from app.request.admitted import Work
from app.request.body import split_images
from app.request.query_string import parse_query
from app.service.auth import Headers
from app.service.gateway import Gateway
from app.telemetry.record import ImageRecord, Record

PATH = "/predict"


class Prediction(Work):
    """One request for labels. In order: `open`, `take` for the body, `start`, `answer`, `close`."""

    __slots__ = ("_choice", "_content_type", "_query", "_started")

    def __init__(self, gateway: Gateway, record: Record) -> None:
        super().__init__(gateway, record)
        self._query: PredictQuery
        self._choice: Choice | None = None  # with model=auto it is there when the body is
        self._content_type = ""
        self._started = 0.0

    def open(self, query_string: bytes, headers: Headers) -> None:
        """Find out from the head what is asked for; `headers` have lower-case names.

        Raises:
            RequestError: the request cannot be answered, whatever its body is.
        """
        self.admit(headers)
        self._query = parse_query(PredictQuery, query_string)
        self._settle(self.gateway.chooser.named(self._query))
        for name, value in headers:
            if name == b"content-type":
                self._content_type = value.decode("latin-1")

    def start(self) -> Ticket[ImageResult]:
        """Queue the images, now that the body is complete.

        Raises:
            RequestError: the body cannot be taken apart, or too many images wait.
        """
        images = split_images(self.body(), self._content_type, self.gateway.settings.max_images)
        choice = self._chosen(images)
        self._started = perf_counter()
        classify = partial(
            self.gateway.classifier.classify,
            model=choice.model,
            resolution=choice.resolution,
            top_k=self._query.top_k,
        )
        return self.submit([partial(classify, image) for image in images])

    def answer(self, outcomes: Sequence[ImageResult | Exception]) -> Response:
        """The response for what became of the images.

        Raises:
            ImageError: there was but one image, and it is not one that can be classified.
        """
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
        assert choice is not None  # noqa: S101  nothing is classified without
        self.gateway.chooser.learn(choice, (perf_counter() - self._started) * 1000)
        body = Answer(
            model=choice.model.name,
            resolution=choice.resolution,
            results=results,
            choice=choice.note,
        )
        return Response(body.model_dump_json(exclude_none=True), media_type="application/json")

    def refuse(self, error: RequestError) -> Response:
        """The response for an error that ends the request."""
        self.fail(error)
        return respond(error)

    def close(self) -> None:
        """Give everything back, the model too: a reload may drop it while the connection idles."""
        super().close()
        self._choice = None

    def _chosen(self, images: Sequence[bytes]) -> Choice:
        """What the client named, or what is best for these images now."""
        if self._choice is not None:
            return self._choice
        demand = Demand(len(images), max(map(len, images)))
        choice = self.gateway.chooser.choose(self._query, demand, self.deadline_ms)
        self._settle(choice)
        return choice

    def _settle(self, choice: Choice | None) -> None:
        if choice is not None:
            self._choice, self.record.model = choice, choice.model.name
