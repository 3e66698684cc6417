"""The errors that a user or an administrator can act on.

Only the text of these errors reaches a client; any other exception becomes a plain 500.
"""

from collections.abc import Mapping
from math import ceil

CLOSE = {"Connection": "close"}  # so that the rest of the body is not read
RETRY = {"Retry-After": "1"}


def first_line(error: Exception) -> str:
    """The first line of another library's error message, shortened."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:300]


class GatewayError(Exception):
    """Base of every error that this service raises on purpose."""


class SettingError(GatewayError):
    """A setting is unknown or has a bad value."""


class ModelFileError(GatewayError):
    """A file in the store cannot be served."""


class CardError(ModelFileError):
    """The model card in a file is missing or not valid."""


class RequestError(GatewayError):
    """A request cannot be answered. `status` and `type` are part of the API.

    The class arguments of each kind set them and the headers of its response.
    """

    status = 400
    type = "bad-request"
    title = "Bad request"
    response_headers: Mapping[str, str] = {}

    def __init_subclass__(
        cls,
        status: int = 400,
        type: str = "",
        title: str = "",
        headers: Mapping[str, str] | None = None,
    ) -> None:
        if type:
            cls.status, cls.type = status, type
            cls.title = title or type.replace("-", " ").capitalize()
        if headers:
            cls.response_headers = headers

    def __init__(self, detail: str) -> None:
        super().__init__(detail)
        self.detail = detail
        self.headers = dict(self.response_headers)


class ImageError(RequestError):
    """The bytes are not a supported image."""


class EmptyBody(ImageError, status=400, type="empty-body"):
    """The body is empty where an image was expected."""


class NotAnImage(ImageError, status=400, type="not-an-image"):
    """The bytes match no known image format."""


class DamagedImage(ImageError, status=400, type="damaged-image"):
    """The image is damaged and cannot be decoded completely."""


class UnsupportedFormat(ImageError, status=415, type="unsupported-format"):
    """The image format or the content type is not supported."""


class ImageTooSmall(ImageError, status=422, type="image-too-small"):
    """A side of the image has fewer pixels than the minimum."""


class TooManyPixels(ImageError, status=413, type="too-many-pixels"):
    """The header of the image declares more pixels than allowed."""


class BadRequest(RequestError, status=400, type="bad-request"):
    """The body does not match its content type."""


class BadQuery(RequestError, status=422, type="bad-query"):
    """A query parameter is unknown, out of range, or conflicts with another."""


class ImpossibleBudget(RequestError, status=422, type="impossible-budget"):
    """No loaded variant meets the limits; `detail` says what is possible."""


class UnknownModel(RequestError, status=404, type="unknown-model"):
    """No loaded model has this name."""


class UnknownCapture(RequestError, status=404, type="unknown-capture"):
    """No kept image has this id."""


class LastModel(RequestError, status=409, type="last-model"):
    """The only loaded model cannot be unloaded."""


class ModelInUse(RequestError, status=409, type="model-in-use"):
    """Heads of other models read this model's embeddings."""


class BadName(RequestError, status=422, type="bad-name"):
    """A head or a label cannot have this name."""


class NameTaken(RequestError, status=409, type="name-taken"):
    """Another model of the store has the name."""


class TrainingRuns(RequestError, status=409, type="training"):
    """A head is being trained; another one cannot be, nor can that one be changed as a whole."""


class CannotTrain(RequestError, status=422, type="cannot-train"):
    """The examples do not suffice for a head, or the training failed; the old head serves."""


class NothingToUndo(RequestError, status=409, type="nothing-to-undo"):
    """No head was served before the last training."""


class StorageFull(RequestError, status=507, type="storage-full"):
    """The examples are at their limit, or the disk is full; nothing was kept."""


class NotFound(RequestError, status=404, type="not-found"):
    """No resource exists at this path."""


class MethodNotAllowed(RequestError, status=405, type="method-not-allowed"):
    """The resource does not support this method."""


class UnsupportedTransferCoding(
    RequestError, status=501, type="unsupported-transfer-coding", headers=CLOSE
):
    """The body is sent in a transfer coding other than chunked."""


class TooManyBytes(RequestError, status=413, type="too-many-bytes", headers=CLOSE):
    """The body or the headers are larger than allowed."""


class TooManyImages(RequestError, status=413, type="too-many-images"):
    """The request has more images than allowed."""


class StoreUnusable(RequestError, status=500, type="store-unusable"):
    """The store or a model of it could not be read; the loaded models keep serving."""


class InternalError(RequestError, status=500, type="internal-error"):
    """The server failed; its log has the details."""

    def __init__(self, detail: str = "Internal error. The server's log has the details.") -> None:
        super().__init__(detail)


class Overloaded(RequestError, status=503, type="overloaded"):
    """The queue is full; `Retry-After` estimates when it will be empty."""

    def __init__(self, detail: str, retry_after_s: float = 1.0) -> None:
        super().__init__(detail)
        self.headers["Retry-After"] = str(max(1, ceil(retry_after_s)))


class OutOfMemory(RequestError, status=503, type="out-of-memory", headers=RETRY):
    """There is not enough memory to decode the image right now; the image itself is fine."""


class Stopping(RequestError, status=503, type="stopping", headers=RETRY | CLOSE):
    """The service is shutting down and accepts no new requests."""


class DeadlineExceeded(RequestError, status=504, type="deadline-exceeded"):
    """The answer would miss the request's deadline; `detail` says where the time went."""


class ClientGone(
    RequestError, status=499, type="client-gone", title="Client closed the connection"
):
    """The client closed the connection before the answer; only log and metrics show this."""


class SlowBody(RequestError, status=408, type="slow-body", headers=CLOSE):
    """The body did not arrive within the request's deadline."""


class Unauthorized(
    RequestError,
    status=401,
    type="unauthorized",
    headers={"WWW-Authenticate": 'Bearer realm="mobilenet-gateway"'},
):
    """The request needs a valid API key."""


class Forbidden(RequestError, status=403, type="forbidden"):
    """The key does not allow this."""


# The errors of any request for classification, in every protocol.
CLASSIFICATION_ERRORS: tuple[type[RequestError], ...] = (
    BadRequest,
    EmptyBody,
    NotAnImage,
    DamagedImage,
    UnknownModel,
    SlowBody,
    TooManyBytes,
    TooManyImages,
    TooManyPixels,
    UnsupportedFormat,
    BadQuery,
    ImageTooSmall,
    Overloaded,
    OutOfMemory,
    Stopping,
    StoreUnusable,
    DeadlineExceeded,
)
