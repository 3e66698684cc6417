"""One inference of the protocol, from its model to its answer."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

from starlette.responses import Response

from app.errors import (
    BadRequest,
    DeadlineExceeded,
    RequestError,
    SlowBody,
    UnknownModel,
    UnsupportedFormat,
)
from app.inference.classify import ImageRun
from app.inference.scheduler import Ticket
from app.model.model import Model
from app.oip import rest_codec
from app.oip.answer import InferAnswer, to_answer
from app.oip.request import VERSION, InferRequest, Plan, plan
from app.oip.tensors import excerpt
from app.request.admitted import AdmittedRequest
from app.request.json_text import JsonStructure
from app.service.gateway import Gateway
from app.telemetry.record import ImageRecord, Record
from app.wire import Headers


def find_model(gateway: Gateway, name: str, version: str = "") -> Model:
    """The loaded model of that name or alias; its only version is "1".

    Raises:
        UnknownModel: no loaded model has this name and version.
    """
    model = gateway.store.get(name)
    if version not in ("", VERSION):
        raise UnknownModel(f"{name} has no version {excerpt(version)!r}, only {VERSION}.")
    return model


class Inference(AdmittedRequest):
    """One inference. In order: `admit`, `choose`, `queue`, `conclude`, `close`."""

    __slots__ = ("_plan", "_request", "model", "name", "waits_until")

    def __init__(self, gateway: Gateway, record: Record) -> None:
        super().__init__(gateway, record)
        self.model: Model
        self.name: str  # of the model, as the client gave it
        self._request: InferRequest
        self._plan: Plan
        self.waits_until = ""  # if its body waits for a turn, not for the client

    def choose(self, name: str, version: str) -> None:
        self.model, self.name = find_model(self.gateway, name, version), name
        self.record.model = self.model.name

    def too_late(self) -> SlowBody | DeadlineExceeded:
        if self.waits_until and self.ticket is None:
            return DeadlineExceeded(
                f"The deadline of {self.deadline_ms:g} ms passed before {self.waits_until}"
            )
        return super().too_late()

    def queue(self, request: InferRequest) -> Ticket[ImageRun]:
        """Queue the images of a request; its `timeout` may shorten the deadline.

        Raises:
            RequestError: the request does not match the model, or the queue is full.
        """
        timeout_ms = request.timeout_ms()
        if timeout_ms is not None:
            self.deadline_ms = min(self.deadline_ms, timeout_ms)
        self._request = request
        self._plan = plan(request, self.model, self.gateway.settings.max_images)
        run = partial(
            self.gateway.classifier.run,
            model=self.model,
            resolution=self._plan.resolution,
            outputs=self._plan.names,
        )
        return self.submit([partial(run, source) for source in self._plan.sources])

    def conclude(self, outcomes: Sequence[ImageRun | Exception]) -> InferAnswer:
        """Make one answer from the outcome of each image.

        Raises:
            ImageError: an image cannot be classified; the protocol has no error per image.
        """
        runs = [
            _successful(outcome, index, len(outcomes)) for index, outcome in enumerate(outcomes)
        ]
        self.record.results = [
            ImageRecord(run.queue_ms, run.decode_ms, run.inference_ms) for run in runs
        ]
        outputs = [run.outputs for run in runs]
        answer = to_answer(self.name, self._request, self._plan, self.model, outputs)
        texts = [(index, text) for index, run in enumerate(runs) for text in run.warnings]
        warnings = " ".join(f"image {index} of {len(runs)}: {text}" for index, text in texts)
        return replace(answer, warnings=warnings)


class HttpInference(Inference):
    """One inference over HTTP. In order: `open`, `take`, `start`, `answer`, `close`."""

    __slots__ = ("_json_bytes", "_structure")

    def open(self, name: str, version: str, headers: Headers) -> None:
        """Admit the request and read its head; `headers` have lower-case names.

        Raises:
            RequestError: the request cannot be answered, whatever its body is.
        """
        self.admit(headers)
        self.choose(name, version)
        length: str | None = None
        for key, value in headers:
            if key == rest_codec.LENGTH_HEADER.lower().encode():
                length = value.decode("latin-1")
            elif key == b"content-encoding" and value != b"identity":
                raise UnsupportedFormat(
                    "Compressed bodies are not supported. Images gain nothing from compression."
                )
        self._json_bytes = rest_codec.read_json_bytes(length)
        self._structure = JsonStructure(rest_codec.JSON_LIMITS, self._json_bytes)

    def take(self, chunk: bytes) -> None:
        """Add a chunk to the body.

        Raises:
            BadRequest: its JSON is beyond its limits.
            RequestError: as of any body.
        """
        super().take(chunk)
        try:
            self._structure.add(chunk)
        except BadRequest as error:
            error.detail += " Send large tensors as binary data, or images as BYTES."
            raise

    def parse_delay_s(self) -> float:
        delay_s = self.gateway.parse_turns.wait_s(self._structure.values)
        if delay_s:
            self.waits_until = "the numbers were parsed. Send pixels as binary data."
        return delay_s

    def start(self) -> Ticket[ImageRun]:
        return self.queue(rest_codec.read_request(self.body(), self._json_bytes, self.name))

    def answer(self, outcomes: Sequence[ImageRun | Exception]) -> Response:
        content, headers = rest_codec.write_answer(self.conclude(outcomes))
        return Response(content, headers=headers)

    def reject(self, error: RequestError) -> Response:
        """Make the response to an error that ends the request."""
        self.fail(error)
        return rest_codec.oip_error_response(error)


def _successful(outcome: ImageRun | Exception, index: int, count: int) -> ImageRun:
    """Return a run, or raise the error, which names its image if there are several."""
    if isinstance(outcome, ImageRun):
        return outcome
    if isinstance(outcome, RequestError) and count > 1:
        outcome.detail = f"image {index} of {count}: {outcome.detail}"
    raise outcome
