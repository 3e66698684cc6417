"""Everything that can go wrong for a reason that a person can act on.

    GatewayError
    ├── SettingError              a setting is unknown or has a bad value       (start-up)
    ├── ModelFileError            a file in the store cannot be served          (start-up, reload)
    │   └── CardError             its model card is missing or not valid
    └── RequestError              a request cannot be answered; has an HTTP status
        ├── BadRequest                400  the body is not what its content type promises
        ├── BadQuery                  422  a query parameter is unknown or out of range
        ├── ImpossibleBudget          422  no loaded variant keeps the limits of model=auto
        ├── NotFound                  404  no such path
        ├── UnknownModel              404  no loaded model has that name
        ├── LastModel                 409  the only loaded model cannot be unloaded
        ├── MethodNotAllowed          405  the path does not take this method
        ├── TooManyBytes              413  the body is larger than allowed
        ├── TooManyImages             413  more images in one request than allowed
        ├── Unauthorized              401  a key is needed and none, or a wrong one, was sent
        ├── Forbidden                 403  the key that was sent does not allow this
        ├── SlowBody                  408  the body did not arrive in time
        ├── Overloaded                503  as many images wait as may
        ├── OutOfMemory               503  no memory for the pixels of this image, now
        ├── Stopping                  503  the service is being stopped
        ├── DeadlineExceeded          504  the answer would come too late
        ├── ClientGone                499  the client closed the connection; for log and metrics
        ├── StoreUnusable             500  the store cannot be read again as a whole
        ├── InternalError             500  a mistake of the server, never of the request
        └── ImageError                     the bytes are not an image we take
            ├── EmptyBody             400  nothing was sent
            ├── NotAnImage            400  no known image starts like this
            ├── DamagedImage          400  the image cannot be decoded to its end
            ├── UnsupportedFormat     415  an image, but of a format that is not taken
            ├── ImageTooSmall         422  fewer pixels a side than the minimum
            └── TooManyPixels         413  the header declares more pixels than allowed

Only the text of these errors reaches a client; anything else becomes a plain 500.
"""

from math import ceil

UNEXPECTED = "Internal error. The server's log has the details."  # all that a client learns


def first_line(error: Exception) -> str:
    """What another library says of its error, in one line that is not too long."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:300]


class GatewayError(Exception):
    """Base of every error that this service raises on purpose."""


class SettingError(GatewayError):
    """A setting is unknown or has a value that cannot be used."""


class ModelFileError(GatewayError):
    """A file in the store cannot be served."""


class CardError(ModelFileError):
    """The model card in a file is missing or not valid."""


class RequestError(GatewayError):
    """A request that cannot be answered. `status` and `type` are part of the API."""

    status = 400
    type = "bad-request"
    title = "Bad request"

    def __init__(self, detail: str) -> None:
        super().__init__(detail)
        self.detail = detail
        self.headers: dict[str, str] = {}


class ImageError(RequestError):
    """The bytes are not an image that this service takes."""


class EmptyBody(ImageError):
    """Nothing was sent where an image was expected."""

    status = 400
    type = "empty-body"
    title = "Empty body"


class NotAnImage(ImageError):
    """No image format known here starts with these bytes."""

    status = 400
    type = "not-an-image"
    title = "Not an image"


class DamagedImage(ImageError):
    """The image cannot be decoded to its end."""

    status = 400
    type = "damaged-image"
    title = "Damaged image"


class UnsupportedFormat(ImageError):
    """An image, or a content type, of a format that is not taken."""

    status = 415
    type = "unsupported-format"
    title = "Unsupported format"


class ImageTooSmall(ImageError):
    """The image has fewer pixels a side than the minimum."""

    status = 422
    type = "image-too-small"
    title = "Image too small"


class TooManyPixels(ImageError):
    """The header of the image declares more pixels than allowed."""

    status = 413
    type = "too-many-pixels"
    title = "Too many pixels"


class BadRequest(RequestError):
    """The body is not of the form that its content type promises."""

    status = 400
    type = "bad-request"
    title = "Bad request"


class BadQuery(RequestError):
    """A query parameter is unknown or out of range, or not all that was asked can be had."""

    status = 422
    type = "bad-query"
    title = "Bad query"


class ImpossibleBudget(RequestError):
    """No loaded variant keeps the limits that were set; `detail` says what would be possible."""

    status = 422
    type = "impossible-budget"
    title = "Impossible budget"


class UnknownModel(RequestError):
    """No loaded model has that name."""

    status = 404
    type = "unknown-model"
    title = "Unknown model"


class LastModel(RequestError):
    """The only loaded model cannot be unloaded."""

    status = 409
    type = "last-model"
    title = "Last model"


class NotFound(RequestError):
    """No resource lies at this path."""

    status = 404
    type = "not-found"
    title = "Not found"


class MethodNotAllowed(RequestError):
    """The resource is there, but does not take this method."""

    status = 405
    type = "method-not-allowed"
    title = "Method not allowed"


class TooManyBytes(RequestError):
    """The body, or the head before it, is larger than allowed."""

    status = 413
    type = "too-many-bytes"
    title = "Too many bytes"

    def __init__(self, detail: str) -> None:
        super().__init__(detail)
        self.headers["Connection"] = "close"  # so that little of the rest is read


class TooManyImages(RequestError):
    """More images in one request than allowed."""

    status = 413
    type = "too-many-images"
    title = "Too many images"


class StoreUnusable(RequestError):
    """Reading the store again failed as a whole; what was loaded goes on serving."""

    status = 500
    type = "store-unusable"
    title = "Store unusable"


class InternalError(RequestError):
    """A mistake of the server; the log says more, the client does not need to know."""

    status = 500
    type = "internal-error"
    title = "Internal error"


class Overloaded(RequestError):
    """As many images wait as may; `retry_after_s` is when the queue will be empty."""

    status = 503
    type = "overloaded"
    title = "Overloaded"

    def __init__(self, detail: str, retry_after_s: float = 1.0) -> None:
        super().__init__(detail)
        self.headers["Retry-After"] = str(max(1, ceil(retry_after_s)))


class OutOfMemory(RequestError):
    """There is no memory for the pixels of an image, which says nothing against the image."""

    status = 503
    type = "out-of-memory"
    title = "Out of memory"

    def __init__(self, detail: str) -> None:
        super().__init__(detail)
        self.headers["Retry-After"] = "1"


class Stopping(RequestError):
    """The service is being stopped and takes no new work."""

    status = 503
    type = "stopping"
    title = "Stopping"

    def __init__(self, detail: str) -> None:
        super().__init__(detail)
        self.headers |= {"Retry-After": "1", "Connection": "close"}


class DeadlineExceeded(RequestError):
    """The answer would come later than the request's deadline; `detail` says where time went."""

    status = 504
    type = "deadline-exceeded"
    title = "Deadline exceeded"


class ClientGone(RequestError):
    """The client closed the connection before its answer; nobody reads this."""

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
    """A key is needed and none, or a wrong one, was sent."""

    status = 401
    type = "unauthorized"
    title = "Unauthorized"

    def __init__(self, detail: str) -> None:
        super().__init__(detail)
        self.headers["WWW-Authenticate"] = 'Bearer realm="mobilenet-gateway"'


class Forbidden(RequestError):
    """The key that was sent does not allow this."""

    status = 403
    type = "forbidden"
    title = "Forbidden"


# What any request for classification can end with, whichever protocol it speaks.
CLASSIFYING: tuple[type[RequestError], ...] = (
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
