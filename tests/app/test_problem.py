"""Problems: what is told of an error."""

from app.errors import BadRequest
from app.problem import to_problem


def test_a_problem_says_what_its_error_is() -> None:
    assert to_problem(BadRequest("broken")).model_dump() == {
        "type": "urn:mobilenet-gateway:bad-request",
        "title": "Bad request",
        "status": 400,
        "detail": "broken",
    }
