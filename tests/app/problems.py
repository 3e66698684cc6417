"""The one check of every error that a client can see."""

import re

import httpx

from app.errors import RequestError
from app.problem import MEDIA_TYPE, TYPE_PREFIX

FIELDS = {"type", "title", "status", "detail"}
INTERNAL = re.compile(r"Traceback|site-packages|\.py\b|\.onnx\b|0x[0-9a-f]{4}|<class|/tmp")


def assert_problem(response: httpx.Response, kind: type[RequestError]) -> str:
    """Check that a response is this kind of problem and tells nothing internal; its detail."""
    problem = response.json()
    assert response.headers["content-type"] == MEDIA_TYPE
    assert problem.keys() == FIELDS
    assert problem["type"] == TYPE_PREFIX + kind.type
    assert response.status_code == problem["status"] == kind.status
    assert problem["title"] == kind.title
    assert not INTERNAL.search(response.text)
    detail = problem["detail"]
    assert isinstance(detail, str)
    assert detail
    return detail
