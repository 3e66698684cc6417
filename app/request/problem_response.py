"""The response to an error: a problem in JSON (RFC 9457)."""

from functools import lru_cache

from starlette.responses import Response

from app.errors import RequestError
from app.problem import MEDIA_TYPE, Problem, to_problem


def problem_response(error: RequestError) -> Response:
    """Render an error as a problem, with the headers that belong to it."""
    return _render(to_problem(error), tuple(error.headers.items()))


@lru_cache(64)  # a flood gets the same rejection again and again
def _render(problem: Problem, headers: tuple[tuple[str, str], ...]) -> Response:
    return Response(problem.model_dump_json(), problem.status, dict(headers), MEDIA_TYPE)
