"""The calls of the Open Inference Protocol over gRPC, by name.

Each call passes the same steps as an HTTP request: id, API key, admission, log, metrics. All are
registered as streams of requests, which looks the same on the wire, so that a call can be rejected
before its message is read. Probes are answered without reading theirs.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, NoReturn, TypeVar

import grpc
from google.protobuf.json_format import ParseDict
from google.protobuf.message import DecodeError, Message

from app.errors import (
    BadRequest,
    ClientGone,
    InternalError,
    RequestError,
    SlowBody,
    StoreUnusable,
    UnknownModel,
)
from app.inference.classify import ImageRun
from app.inference.scheduler import Ticket
from app.oip import grpc_codec, metadata, repository
from app.oip import inference_pb2 as pb
from app.oip.grpc_limits import GrpcLimits
from app.oip.inference import Inference, find_model
from app.oip.protobuf_fields import check_fields
from app.paths import OIP_SERVICE
from app.request import answering
from app.service.gateway import Gateway
from app.telemetry.record import Record, start_record
from app.wire import Headers

log = logging.getLogger(__name__)
METHOD = "GRPC"  # in place of GET or POST in the log and the metrics
Context = grpc.aio.ServicerContext[Any, Any]
Answer = Callable[[Any, Headers], Awaitable[Message]]
Handler = Callable[[Any, Context], Awaitable[Message]]
Parsed = TypeVar("Parsed", bound=Message)


class InferenceService:
    def __init__(self, gateway: Gateway, limits: GrpcLimits) -> None:
        self.gateway = gateway
        self.limits = limits

    def handlers(self) -> dict[str, "grpc.RpcMethodHandler[Any, Any]"]:
        calls: dict[str, tuple[type[Message], Answer]] = {
            "ServerMetadata": (pb.ServerMetadataRequest, self._metadata),
            "ModelReady": (pb.ModelReadyRequest, self._model_ready),
            "ModelMetadata": (pb.ModelMetadataRequest, self._model_metadata),
            "ModelConfig": (pb.ModelConfigRequest, self._model_config),
            "ModelStatistics": (pb.ModelStatisticsRequest, self._model_statistics),
            "RepositoryIndex": (pb.RepositoryIndexRequest, self._repository_index),
            "RepositoryModelLoad": (pb.RepositoryModelLoadRequest, self._load),
            "RepositoryModelUnload": (pb.RepositoryModelUnloadRequest, self._unload),
        }
        unary = {name: self._unary(name, kind, answer) for name, (kind, answer) in calls.items()}
        unary["ServerLive"] = self._probe("ServerLive", lambda: pb.ServerLiveResponse(live=True))
        unary["ServerReady"] = self._probe("ServerReady", self._ready)
        unary["ModelInfer"] = self._infer
        handlers = {
            name: grpc.stream_unary_rpc_method_handler(handle, None, _serialize)
            for name, handle in unary.items()
        }
        handlers["ModelStreamInfer"] = grpc.stream_stream_rpc_method_handler(
            self._stream_infer, None, _serialize
        )
        return handlers

    # --- inference

    async def _infer(self, _: object, context: Context) -> Message:
        async with self._call("ModelInfer", context) as record:
            with self.limits.calls.acquire():
                return await self._infer_one(record, context)

    async def _stream_infer(self, _: object, context: Context) -> None:
        """Answer requests in order; an error answers one request and does not end the stream."""
        try:
            self.gateway.keys.check(_path("ModelStreamInfer"), _headers(context))
            with self.limits.streams.acquire():
                while isinstance(
                    body := await self.limits.streams.next_message(context.read), bytes
                ):
                    async with self._call("ModelStreamInfer", context) as record:
                        answer = await self._infer_in_stream(record, context, body)
                    await context.write(answer)
        except RequestError as error:  # of the stream itself
            async with self._call("ModelStreamInfer", context) as record:
                record.error = error.type
                raise

    async def _infer_in_stream(self, record: Record, context: Context, body: bytes) -> Message:
        try:
            message = await self._infer_one(record, context, body)
            return pb.ModelStreamInferResponse(infer_response=message)
        except RequestError as error:
            record.status = error.status
            return pb.ModelStreamInferResponse(error_message=grpc_codec.error_text(error))

    async def _infer_one(
        self, record: Record, context: Context, body: bytes | None = None
    ) -> pb.ModelInferResponse:
        """Admit a request and answer it; one of a stream has its `body` already."""
        inference = GrpcInference(self.gateway, record)
        head = partial(inference.open, _headers(context), context.time_remaining())

        async def read_message() -> object:
            inference.waits_until = ""
            return await context.read()

        async def read_body() -> None:
            if body is None:
                inference.waits_until = "a place to read the message was free. Retry later."
                message = await self.limits.reading.read(read_message)
            else:
                message = body
            inference.take(_require_message(message))

        async def wait_for(ticket: Ticket[ImageRun]) -> Sequence[ImageRun | Exception]:
            return await ticket  # a client that leaves cancels the task

        try:
            return await answering.answer(inference, head, read_body, wait_for)
        except RequestError as error:
            inference.fail(error)
            raise
        except asyncio.CancelledError:
            inference.fail(inference.client_gone())
            raise
        finally:
            inference.close()

    # --- metadata and model repository

    def _ready(self) -> Message:
        return pb.ServerReadyResponse(ready=not self.gateway.lifecycle.stopping)

    async def _metadata(self, _: pb.ServerMetadataRequest, __: Headers) -> Message:
        return ParseDict(metadata.server_metadata(), pb.ServerMetadataResponse())

    async def _model_ready(self, request: pb.ModelReadyRequest, _: Headers) -> Message:
        try:
            await repository.make_ready(find_model(self.gateway, request.name, request.version))
        except (UnknownModel, StoreUnusable):
            return pb.ModelReadyResponse(ready=False)
        return pb.ModelReadyResponse(ready=True)

    async def _model_metadata(self, request: pb.ModelMetadataRequest, _: Headers) -> Message:
        model = find_model(self.gateway, request.name, request.version)
        return ParseDict(metadata.model_metadata(request.name, model), pb.ModelMetadataResponse())

    async def _model_config(self, request: pb.ModelConfigRequest, _: Headers) -> Message:
        model = find_model(self.gateway, request.name, request.version)
        config = metadata.model_config(model, self.gateway.settings.max_images)
        return ParseDict({"config": config}, pb.ModelConfigResponse())

    async def _model_statistics(self, request: pb.ModelStatisticsRequest, _: Headers) -> Message:
        gateway = self.gateway
        models = (
            [find_model(gateway, request.name, request.version)] if request.name else gateway.store
        )
        content = metadata.model_statistics(gateway.current_metrics(), models)
        return ParseDict(content, pb.ModelStatisticsResponse())

    async def _repository_index(self, request: pb.RepositoryIndexRequest, _: Headers) -> Message:
        content = {"models": repository.index(self.gateway, ready=request.ready)}
        return ParseDict(content, pb.RepositoryIndexResponse())

    async def _load(self, request: pb.RepositoryModelLoadRequest, headers: Headers) -> Message:
        name = request.model_name or request.repository_name
        await repository.load(self.gateway, headers, name, request.parameters)
        return pb.RepositoryModelLoadResponse(model_name=name, isLoaded=True)

    async def _unload(self, request: pb.RepositoryModelUnloadRequest, headers: Headers) -> Message:
        name = request.model_name or request.repository_name
        await repository.unload(self.gateway, headers, name, request.parameters)
        return pb.RepositoryModelUnloadResponse(model_name=name, isUnloaded=True)

    # --- steps of every call

    def _unary(self, name: str, kind: type[Message], answer: Answer) -> Handler:
        async def handle(_: object, context: Context) -> Message:
            async with self._call(name, context) as record:
                headers = _headers(context)
                self.gateway.keys.check(record.path, headers)
                with self.limits.calls.acquire():
                    return await answer(await self._read_small(kind, context), headers)

        return handle

    def _probe(self, name: str, answer: Callable[[], Message]) -> Handler:
        async def handle(_: object, context: Context) -> Message:
            async with self._call(name, context):
                return answer()

        return handle

    async def _read_small(self, kind: type[Message], context: Context) -> Message:
        """The parsed message of a call without images."""
        limit_ms = self.gateway.settings.deadline_ms
        try:
            async with asyncio.timeout(limit_ms / 1000):
                return _parse(kind, _require_message(await self.limits.reading.read(context.read)))
        except TimeoutError:
            raise SlowBody(f"The message did not arrive within {limit_ms:g} ms.") from None

    @asynccontextmanager
    async def _call(self, name: str, context: Context) -> AsyncIterator[Record]:
        """Count and log a call that the block answers; an error ends it with a status."""
        path, headers = _path(name), _headers(context)
        record = start_record(METHOD, path, headers, path)
        if self.gateway.tracing:
            self.gateway.tracing.begin(record, headers)
        context.set_trailing_metadata(_trailing_metadata(record))
        try:
            yield record
            record.status = record.status or 200
        except RequestError as error:
            await _abort(context, record, error)
        except asyncio.CancelledError:
            record.status = ClientGone.status  # it cancelled the call, or its own deadline passed
            raise
        except Exception as error:
            log.error("Unexpected error on %s", record.path, exc_info=error)
            await _abort(context, record, InternalError())
        finally:
            self.gateway.request_log.add(record)


class GrpcInference(Inference):
    """One inference over gRPC. In order: `open`, `take`, `start`, `answer`, `close`."""

    __slots__ = ()

    def open(self, headers: Headers, remaining_s: float | None) -> None:
        """Admit the request; `remaining_s` is the client's own deadline.

        Raises:
            RequestError: the request cannot be answered, whatever its message is.
        """
        self.admit(headers)
        if remaining_s is not None:
            self.deadline_ms = min(self.deadline_ms, max(0.0, remaining_s * 1000))

    def start(self) -> Ticket[ImageRun]:
        message = _parse(pb.ModelInferRequest, self.body())
        self.choose(message.model_name, message.model_version)
        return self.queue(grpc_codec.read_request(message))

    def answer(self, outcomes: Sequence[ImageRun | Exception]) -> pb.ModelInferResponse:
        return grpc_codec.write_answer(self.conclude(outcomes))


def _require_message(received: object) -> bytes:
    if not isinstance(received, bytes):
        raise BadRequest("The call ended without a message.")
    return received


def _parse(kind: type[Parsed], body: bytes) -> Parsed:
    check_fields(body, kind)
    try:
        return kind.FromString(body)
    except DecodeError:
        raise BadRequest(f"The message is not a {kind.__name__}.") from None


def _path(name: str) -> str:
    return f"/{OIP_SERVICE}/{name}"


async def _abort(context: Context, record: Record, error: RequestError) -> NoReturn:
    """End a call with an error; the trailing metadata replaces the headers of HTTP."""
    record.status = error.status
    trailing = _trailing_metadata(record)
    if "Retry-After" in error.headers:
        trailing += (("retry-after", error.headers["Retry-After"]),)
    await context.abort(grpc_codec.status_code(error), grpc_codec.error_text(error), trailing)
    raise AssertionError("abort ends the call")


def _trailing_metadata(record: Record) -> tuple[tuple[str, str], ...]:
    return (("x-request-id", record.id),)


def _headers(context: Context) -> list[tuple[bytes, bytes]]:
    """The metadata of a call in the form of HTTP headers."""
    return [
        (str(name).encode(), value if isinstance(value, bytes) else str(value).encode())
        for name, value in context.invocation_metadata() or ()
    ]


def _serialize(message: Message) -> bytes:
    return message.SerializeToString()
