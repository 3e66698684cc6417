"""The errors that a user or an administrator can act on.

    GatewayError
    ├── SettingError              a setting is unknown or has a bad value       (start-up)
    ├── ModelFileError            a file in the store cannot be served          (start-up, reload)
    │   └── CardError             its model card is missing or not valid
    └── RequestError              a request cannot be answered; has an HTTP status
        ├── BadRequest                400  the body does not match its content type
        ├── BadQuery                  422  a query parameter is unknown or out of range
        ├── ImpossibleBudget          422  no loaded variant meets the limits of model=auto
        ├── NotFound                  404  no such path
        ├── UnknownModel              404  no loaded model has that name
        ├── LastModel                 409  the only loaded model cannot be unloaded
        ├── MethodNotAllowed          405  the path does not support this method
        ├── TooManyBytes              413  the body is larger than allowed
        ├── TooManyImages             413  more images in one request than allowed
        ├── Unauthorized              401  a valid API key is needed
        ├── Forbidden                 403  the API key does not allow this
        ├── SlowBody                  408  the body did not arrive in time
        ├── Overloaded                503  the queue is full
        ├── OutOfMemory               503  not enough memory for this image right now
        ├── Stopping                  503  the service is shutting down
        ├── DeadlineExceeded          504  the answer would come too late
        ├── ClientGone                499  the client closed the connection; in log and metrics only
        ├── StoreUnusable             500  the store cannot be read again as a whole
        ├── InternalError             500  an error of the server, never of the request
        └── ImageError                     the bytes are not a supported image
            ├── EmptyBody             400  the body is empty
            ├── NotAnImage            400  the bytes match no known image format
            ├── DamagedImage          400  the image data is damaged
            ├── UnsupportedFormat     415  the image format or content type is not supported
            ├── ImageTooSmall         422  a side has fewer pixels than the minimum
            └── TooManyPixels         413  the header declares more pixels than allowed

Only the text of these errors reaches a client; any other exception becomes a plain 500.
"""

from math import ceil

INTERNAL_ERROR_DETAIL = "Internal error. The server's log has the details."


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
    """A request cannot be answered. `status` and `type` are part of the API."""

    status = 400
    type = "bad-request"
    title = "Bad request"

    def __init__(self, detail: str) -> None:
        super().__init__(detail)
        self.detail = detail
        self.headers: dict[str, str] = {}


class ImageError(RequestError):
    """The bytes are not a supported image."""


class EmptyBody(ImageError):
    """The body is empty where an image was expected."""

    status = 400
    type = "empty-body"
    title = "Empty body"


class NotAnImage(ImageError):
    """The bytes match no known image format."""

    status = 400
    type = "not-an-image"
    title = "Not an image"


class DamagedImage(ImageError):
    """The image is damaged and cannot be decoded completely."""

    status = 400
    type = "damaged-image"
    title = "Damaged image"


class UnsupportedFormat(ImageError):
    """The image format or the content type is not supported."""

    status = 415
    type = "unsupported-format"
    title = "Unsupported format"


class ImageTooSmall(ImageError):
    """A side of the image has fewer pixels than the minimum."""

    status = 422
    type = "image-too-small"
    title = "Image too small"


class TooManyPixels(ImageError):
    """The header of the image declares more pixels than allowed."""

    status = 413
    type = "too-many-pixels"
    title = "Too many pixels"


class BadRequest(RequestError):
    """The body does not match its content type."""

    status = 400
    type = "bad-request"
    title = "Bad request"


class BadQuery(RequestError):
    """A query parameter is unknown, out of range, or conflicts with another."""

    status = 422
    type = "bad-query"
    title = "Bad query"


class ImpossibleBudget(RequestError):
    """No loaded variant meets the limits; `detail` says what is possible."""

    status = 422
    type = "impossible-budget"
    title = "Impossible budget"


class UnknownModel(RequestError):
    """No loaded model has this name."""

    status = 404
    type = "unknown-model"
    title = "Unknown model"


class LastModel(RequestError):
    """The only loaded model cannot be unloaded."""

    status = 409
    type = "last-model"
    title = "Last model"


class NotFound(RequestError):
    """No resource exists at this path."""

    status = 404
    type = "not-found"
    title = "Not found"


class MethodNotAllowed(RequestError):
    """The resource does not support this method."""

    status = 405
    type = "method-not-allowed"
    title = "Method not allowed"


class TooManyBytes(RequestError):
    """The body or the headers are larger than allowed."""

    status = 413
    type = "too-many-bytes"
    title = "Too many bytes"

    def __init__(self, detail: str) -> None:
        super().__init__(detail)
        self.headers["Connection"] = "close"  # so that the rest of the body is not read


class TooManyImages(RequestError):
    """The request has more images than allowed."""

    status = 413
    type = "too-many-images"
    title = "Too many images"


class StoreUnusable(RequestError):
    """The store could not be read again; the loaded models keep serving."""

    status = 500
    type = "store-unusable"
    title = "Store unusable"


class InternalError(RequestError):
    """The server failed; its log has the details."""

    status = 500
    type = "internal-error"
    title = "Internal error"


class Overloaded(RequestError):
    """The queue is full; `Retry-After` estimates when it will be empty."""

    status = 503
    type = "overloaded"
    title = "Overloaded"

    def __init__(self, detail: str, retry_after_s: float = 1.0) -> None:
        super().__init__(detail)
        self.headers["Retry-After"] = str(max(1, ceil(retry_after_s)))


class OutOfMemory(RequestError):
    """There is not enough memory to decode the image right now; the image itself is fine."""

    status = 503
    type = "out-of-memory"
    title = "Out of memory"

    def __init__(self, detail: str) -> None:
        super().__init__(detail)
        self.headers["Retry-After"] = "1"


class Stopping(RequestError):
    """The service is shutting down and accepts no new requests."""

    status = 503
    type = "stopping"
    title = "Stopping"

    def __init__(self, detail: str) -> None:
        super().__init__(detail)
        self.headers |= {"Retry-After": "1", "Connection": "close"}


class DeadlineExceeded(RequestError):
    """The answer would miss the request's deadline; `detail` says where the time went."""

    status = 504
    type = "deadline-exceeded"
    title = "Deadline exceeded"


class ClientGone(RequestError):
    """The client closed the connection before the answer; only log and metrics show this."""

    status = 499
    type = "client-gone"
    title = "Client closed the connection"


class SlowBody(RequestError):
    """The body did not arrive within the request's deadline."""

    status = 408
    type = "slow-body"
    title = "Slow body"

    def __init__(self, detail: str) -> None:
        super().__init__(detail)
        self.headers["Connection"] = "close"


class Unauthorized(RequestError):
    """The request needs a valid API key."""

    status = 401
    type = "unauthorized"
    title = "Unauthorized"

    def __init__(self, detail: str) -> None:
        super().__init__(detail)
        self.headers["WWW-Authenticate"] = 'Bearer realm="mobilenet-gateway"'


class Forbidden(RequestError):
    """The key does not allow this."""

    status = 403
    type = "forbidden"
    title = "Forbidden"


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
    DeadlineExceeded,
)
