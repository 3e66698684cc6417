"""GET /, /teach, /watch and /docs: the web page, its views and the API reference in a browser."""

from fastapi import APIRouter, Request
from fastapi.responses import Response

from app.errors import NotFound
from app.http import assets
from app.http.routes.state import NoParameters

router = APIRouter(include_in_schema=False)

HEADERS = {
    "Cache-Control": "no-cache",  # cache, but revalidate
    "Vary": "Accept-Encoding",
    "X-Content-Type-Options": "nosniff",
}
# The page loads and requests nothing from other hosts, and text never becomes markup.
DOCUMENT_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; "
    "img-src 'self' blob:; connect-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'",
    "Referrer-Policy": "no-referrer",
    "Permissions-Policy": "camera=(self), microphone=(), geolocation=()",
}


@router.get("/")
@router.get("/teach")
@router.get("/watch")
@router.get("/docs")
async def document(request: Request, _: NoParameters) -> Response:
    """An HTML page."""
    return _send(assets.DOCUMENTS[request.scope["path"]], request, DOCUMENT_HEADERS)


@router.get(assets.PREFIX + "{name:path}")
async def static_file(name: str, request: Request, _: NoParameters) -> Response:
    """A file that a page loads."""
    return _send(name, request, {})


def _send(name: str, request: Request, more_headers: dict[str, str]) -> Response:
    """Send a file, or a 304 if the browser has it."""
    try:
        file = assets.asset(name)
    except KeyError:
        raise NotFound(f"The web page has no file {name}.") from None
    headers = {**HEADERS, **more_headers, "ETag": file.etag}
    cached = request.headers.get("if-none-match", "")
    if file.etag in (tag.strip() for tag in cached.split(",")):
        return Response(status_code=304, headers=headers)
    if "gzip" in request.headers.get("accept-encoding", ""):
        headers["Content-Encoding"] = "gzip"
        return Response(file.gzipped, headers=headers, media_type=file.media_type)
    return Response(file.plain, headers=headers, media_type=file.media_type)
