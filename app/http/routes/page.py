"""GET / and /docs: the web page and the reference of the API, for people with a browser."""

from typing import Annotated

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response

from app.errors import NotFound
from app.http import assets
from app.request.query_string import NoQuery

router = APIRouter(include_in_schema=False)

HEADERS = {
    "Cache-Control": "no-cache",  # keep it, but ask whether it is still the same
    "Vary": "Accept-Encoding",
    "X-Content-Type-Options": "nosniff",
}
# Nothing but this service's own files runs, shows or is asked, and no text becomes markup.
DOCUMENT_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; "
    "img-src 'self' blob:; connect-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'",
    "Referrer-Policy": "no-referrer",
    "Permissions-Policy": "camera=(self), microphone=(), geolocation=()",
}


@router.get("/")
@router.get("/docs")
async def document(request: Request, _: Annotated[NoQuery, Query()]) -> Response:
    """A page."""
    return _send(assets.DOCUMENTS[request.scope["path"]], request, DOCUMENT_HEADERS)


@router.get(assets.PREFIX + "{name:path}")
async def file(name: str, request: Request, _: Annotated[NoQuery, Query()]) -> Response:
    """What a page is made of."""
    return _send(name, request, {})


def _send(name: str, request: Request, more_headers: dict[str, str]) -> Response:
    """One file, or that the browser has it already.

    Raises:
        NotFound: there is no such file.
    """
    try:
        found = assets.asset(name)
    except KeyError:
        raise NotFound(f"The web page has no file {name}.") from None
    headers = {**HEADERS, **more_headers, "ETag": found.etag}
    known = request.headers.get("if-none-match", "")
    if found.etag in (tag.strip() for tag in known.split(",")):
        return Response(status_code=304, headers=headers)
    if "gzip" in request.headers.get("accept-encoding", ""):
        headers["Content-Encoding"] = "gzip"
        return Response(found.gzipped, headers=headers, media_type=found.media_type)
    return Response(found.plain, headers=headers, media_type=found.media_type)
