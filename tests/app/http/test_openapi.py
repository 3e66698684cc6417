"""The OpenAPI document: complete, and its examples are what the service really says."""

import copy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydantic import BaseModel

from app import errors
from app.errors import RequestError
from app.http import schemas
from app.oip import examples as oip_examples
from app.oip import schemas as oip_schemas
from app.oip.schemas import ErrorResponse
from app.paths import OIP
from app.problem import MEDIA_TYPE, TYPE_PREFIX, Problem
from app.request import examples, messages
from app.training import messages as head_messages
from tests.app.problems import assert_problem
from tests.app.sample_images import as_base64, encode, noise, png_bomb

SCHEMAS: dict[str, type[BaseModel]] = {
    **vars(schemas), **vars(messages), **vars(oip_schemas), **vars(head_messages)
}  # fmt: skip
# Answers that are no JSON.
FILES = {
    "/metrics",
    "/heads/{name}/examples/{id}",
    "/heads/{name}/head.npz",
    "/captures/{capture_id}",
    "/cameras/{name}/frame.jpg",
    "/events",
}
# Those that no route of its own gives, or that no client sees.
UNDOCUMENTED = {
    "method-not-allowed", "internal-error", "client-gone",
    "unsupported-transfer-coding",  # of HTTP, whatever is asked for
}  # fmt: skip


@pytest.fixture(scope="module")
def document(client: httpx.Client) -> dict[str, Any]:
    response = client.get("/openapi.json")
    assert response.status_code == 200
    found: dict[str, Any] = response.json()
    return found


def test_each_answer_has_headers_of_its_own(client: httpx.Client) -> None:
    """The document is encoded once, the answer is not kept."""
    first, second = (client.get("/openapi.json") for _ in range(2))
    assert first.content == second.content
    assert first.headers["content-type"] == "application/json"
    [first_id], [second_id] = (one.headers.get_list("x-request-id") for one in (first, second))
    assert first_id != second_id


def operations(document: dict[str, Any]) -> dict[tuple[str, str], dict[str, Any]]:
    return {
        (method.upper(), path): operation
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    }


def problem_types(operation: dict[str, Any]) -> set[str]:
    return {
        name
        for status, response in operation["responses"].items()
        if not status.startswith("2")
        for content in response["content"].values()
        for name in content["examples"]
    }


def request_errors(kind: type[RequestError] = RequestError) -> set[type[RequestError]]:
    """Every kind that has a type of its own."""
    below = {found for child in kind.__subclasses__() for found in request_errors(child)}
    return below | ({kind} if "type" in vars(kind) and kind is not RequestError else set())


def agrees(example: Any, schema: type[BaseModel]) -> bool:
    """Whether the example has the fields of the schema, of their types, and no other."""
    parsed = schema.model_validate(example)
    return bool(without_nulls(parsed.model_dump(mode="json")) == without_nulls(example))


def without_nulls(found: Any) -> Any:
    """JSON without the members that are null, which an example may leave out."""
    if isinstance(found, list):
        return [without_nulls(each) for each in found]
    if isinstance(found, dict):
        return {name: without_nulls(each) for name, each in found.items() if each is not None}
    return found


def test_the_page_for_people_is_there(client: httpx.Client) -> None:
    response = client.get("/docs")
    assert response.status_code == 200
    assert "mobilenet-gateway" in response.text


def test_every_route_is_described(document: dict[str, Any]) -> None:
    described = operations(document)
    assert described.keys() >= {
        ("POST", "/predict"),
        ("GET", "/models"),
        ("GET", "/models/{name}"),
        ("GET", "/models/{name}/layers"),
        ("POST", "/models/reload"),
        ("POST", "/models/measure"),
        ("GET", "/models/frontier"),
        ("GET", "/heads"),
        ("GET", "/heads/{name}"),
        ("DELETE", "/heads/{name}"),
        ("POST", "/heads/{name}/examples/{label}"),
        ("GET", "/heads/{name}/examples/{id}"),
        ("PATCH", "/heads/{name}/examples/{id}"),
        ("DELETE", "/heads/{name}/examples/{id}"),
        ("DELETE", "/heads/{name}/labels/{label}"),
        ("POST", "/heads/{name}/train"),
        ("POST", "/heads/{name}/undo"),
        ("GET", "/heads/{name}/head.npz"),
        ("GET", "/cameras"),
        ("GET", "/cameras/{name}/frame.jpg"),
        ("GET", "/events"),
        ("GET", "/captures"),
        ("DELETE", "/captures"),
        ("GET", "/captures/{capture_id}"),
        ("DELETE", "/captures/{capture_id}"),
        ("GET", "/healthz"),
        ("GET", "/readyz"),
        ("GET", "/info"),
        ("GET", "/metrics"),
        ("GET", "/v2"),
        ("GET", "/v2/health/live"),
        ("GET", "/v2/health/ready"),
        ("GET", "/v2/models/stats"),
        ("GET", "/v2/models/{name}"),
        ("GET", "/v2/models/{name}/config"),
        ("GET", "/v2/models/{name}/ready"),
        ("GET", "/v2/models/{name}/stats"),
        ("POST", "/v2/models/{name}/infer"),
        ("POST", "/v2/repository/index"),
        ("POST", "/v2/repository/models/{name}/load"),
        ("POST", "/v2/repository/models/{name}/unload"),
    }
    for operation in described.values():
        assert operation["description"]


def test_every_answer_has_an_example_that_agrees_with_its_schema(document: dict[str, Any]) -> None:
    for (method, path), operation in operations(document).items():
        if (path in FILES and method == "GET") or "204" in operation["responses"]:
            continue
        [status] = operation["responses"].keys() & {"200", "201"}
        content = operation["responses"][status]["content"]["application/json"]
        name = content["schema"]["$ref"].rpartition("/")[2]
        [example] = document["components"]["schemas"][name]["examples"]
        assert agrees(example, SCHEMAS[name]), path


def refusals(
    document: dict[str, Any], *, oip: bool
) -> Iterator[tuple[tuple[str, str], str, dict[str, Any]]]:
    """Operation, status and response of all that is no answer, of the one API or the other."""
    for asked, operation in operations(document).items():
        for status, response in operation["responses"].items():
            if not status.startswith("2") and asked[1].startswith(OIP) == oip:
                yield asked, status, response


def test_every_problem_has_an_example_that_agrees_with_its_schema_and_type(
    document: dict[str, Any],
) -> None:
    by_type = {kind.type: kind for kind in request_errors()}
    for _, status, response in refusals(document, oip=False):
        assert response["content"].keys() == {MEDIA_TYPE}
        content = response["content"][MEDIA_TYPE]
        assert content["schema"] == {"$ref": "#/components/schemas/Problem"}
        for name, example in content["examples"].items():
            problem = example["value"]
            assert agrees(problem, Problem)
            assert problem["type"] == TYPE_PREFIX + name
            assert problem["status"] == by_type[name].status == int(status)
            assert problem["title"] == by_type[name].title
    assert "Problem" in document["components"]["schemas"]


def test_every_error_of_the_protocol_has_an_example_that_agrees_with_its_schema_and_status(
    document: dict[str, Any],
) -> None:
    by_type = {kind.type: kind for kind in request_errors()}
    for _, status, response in refusals(document, oip=True):
        [content] = response["content"].values()
        assert content["schema"] == {"$ref": "#/components/schemas/ErrorResponse"}
        for name, example in content["examples"].items():
            assert agrees(example["value"], ErrorResponse)
            assert by_type[name].status == int(status)


def test_only_health_needs_no_key(document: dict[str, Any]) -> None:
    described = operations(document).items()
    without = {path for (_, path), found in described if "401" not in found["responses"]}
    assert without == {"/v2/health/live", "/v2/health/ready", "/healthz", "/readyz"}


def test_every_kind_of_error_is_described_somewhere(document: dict[str, Any]) -> None:
    described = set().union(*map(problem_types, operations(document).values()))
    assert described == {kind.type for kind in request_errors()} - UNDOCUMENTED
    assert described == examples.DETAILS.keys() | oip_examples.DETAILS.keys()


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/info", "/models", "/metrics"])
def test_every_resource_describes_what_a_bad_query_gets(
    document: dict[str, Any], path: str
) -> None:
    assert "bad-query" in problem_types(operations(document)["GET", path])


@pytest.mark.parametrize(
    ("body", "headers", "query", "kind"),
    [
        pytest.param(b"", {}, "", errors.EmptyBody, id="empty-body"),
        pytest.param(b"hello", {}, "", errors.NotAnImage, id="not-an-image"),
        pytest.param(encode(noise())[:999], {}, "", errors.DamagedImage, id="damaged-image"),
        pytest.param(encode(noise(1, 1)), {}, "", errors.ImageTooSmall, id="image-too-small"),
        pytest.param(png_bomb(), {}, "", errors.TooManyPixels, id="too-many-pixels"),
        pytest.param(b"\xff\x0a", {}, "", errors.UnsupportedFormat, id="unsupported-format"),
        pytest.param(
            b'--b\r\nContent-Disposition: form-data; filename="a"\r\n\r\n',
            {"Content-Type": "multipart/form-data; boundary=b"},
            "",
            errors.BadRequest,
            id="bad-request",
        ),
        pytest.param(b"x", {}, "?model=mobilenet_v3", errors.UnknownModel, id="unknown-model"),
        pytest.param(b"x", {}, "?resolution=100", errors.BadQuery, id="bad-query"),
        pytest.param(bytes(24 * 2**20 + 1), {}, "", errors.TooManyBytes, id="too-many-bytes"),
    ],
)
def test_an_example_of_a_problem_is_what_the_service_says(
    real_client: httpx.Client,
    body: bytes,
    headers: dict[str, str],
    query: str,
    kind: type[RequestError],
) -> None:
    response = real_client.post(f"/predict{query}", content=body, headers=headers)
    assert assert_problem(response, kind) == examples.DETAILS[kind.type]


def test_the_example_of_an_answer_is_what_the_service_says(
    real_client: httpx.Client, known_photos: Path
) -> None:
    cat = (known_photos / "cat.bmp").read_bytes()
    answer = real_client.post("/predict", files=[("image", cat), ("image", b"text")]).json()
    for result, example in zip(answer["results"], examples.ANSWER["results"], strict=True):
        assert result.keys() == example.keys()
        assert result.get("error") == example.get("error")
        for found, shown in zip(result["predictions"], example["predictions"], strict=True):
            assert found | {"probability": None} == shown | {"probability": None}
            assert found["probability"] == pytest.approx(shown["probability"], abs=1e-4)


def test_the_example_of_a_request_is_answered(
    document: dict[str, Any], client: httpx.Client
) -> None:
    body = operations(document)["POST", "/predict"]["requestBody"]["content"]
    example = body["application/json"]["example"]
    results = client.post("/predict", json=example).json()["results"]
    assert len(results) == 2
    assert results[0]["predictions"] == results[1]["predictions"] != []


def test_the_examples_of_models_are_what_the_service_says(real_client: httpx.Client) -> None:
    name = examples.MODEL
    served = real_client.get("/models").json()
    assert served["models"][0]["file_bytes"] == examples.MODEL_SUMMARY["file_bytes"], (
        f"models/store/{name}.onnx is of another version: delete it, then pull it again with "
        f"`mobilenet-gateway models pull {name}`; if that changes nothing, "
        "update app/request/examples.py"
    )
    assert served == examples.MODEL_LIST
    shown = copy.deepcopy(examples.MODEL_DETAIL)
    detail = real_client.get(f"/models/{name}").json()
    detail["card"]["labels"] = detail["card"]["labels"][:3]
    times = dict.fromkeys(("inference_ms", "inference_p95_ms", "samples", "idle_ms"))
    for variants in (detail["variants"], shown["variants"]):
        variants[:] = [variant | times for variant in variants]
    assert detail == shown
    table = real_client.get(f"/models/{name}/layers").json()
    table["layers"] = table["layers"][:2]
    assert table == examples.LAYER_TABLE


def test_the_example_of_info_has_the_fields_of_the_service(real_client: httpx.Client) -> None:
    info = real_client.get("/info").json()
    assert info.keys() == examples.INFO.keys()
    assert info["settings"].keys() == examples.INFO["settings"].keys()


def test_the_examples_of_the_protocol_are_what_the_service_says(
    real_client: httpx.Client,
) -> None:
    path = f"/v2/models/{examples.MODEL}"
    assert real_client.get("/v2").json() == oip_examples.SERVER_METADATA
    assert real_client.get(path).json() == oip_examples.MODEL_METADATA
    assert real_client.get(f"{path}/ready").json() == oip_examples.MODEL_READY
    assert real_client.get(f"{path}/config").json() == oip_examples.MODEL_CONFIG
    [row] = oip_examples.REPOSITORY_INDEX
    assert row in real_client.post("/v2/repository/index").json()
    statistics = real_client.get(f"{path}/stats").json()
    assert agrees(statistics, oip_schemas.Statistics)


def test_the_example_of_an_inference_is_answered_as_it_is_described(
    real_client: httpx.Client, known_photos: Path
) -> None:
    path = f"/v2/models/{examples.MODEL}/infer"
    asked = copy.deepcopy(oip_examples.INFERENCE_REQUEST)
    answer = real_client.post(path, json=asked).json()
    assert agrees(answer, oip_schemas.InferenceResponse)
    asked["inputs"][0]["data"] = [as_base64((known_photos / "cat.bmp").read_bytes())]
    answer = real_client.post(path, json=asked).json()
    texts = oip_examples.INFERENCE_RESPONSE["outputs"][0]["data"]
    for found, shown in zip(answer["outputs"][0].pop("data"), texts, strict=True):
        assert found.split(":")[1:] == shown.split(":")[1:]
        assert float(found.split(":")[0]) == pytest.approx(float(shown.split(":")[0]), abs=1e-4)
    expected = copy.deepcopy(oip_examples.INFERENCE_RESPONSE)
    del expected["outputs"][0]["data"]
    assert answer == expected


@pytest.mark.parametrize(
    ("path", "change", "kind"),
    [
        pytest.param("infer?top_k=1", {}, "bad-query", id="bad-query"),
        pytest.param("infer", {"shape": [2]}, "bad-request", id="bad-request"),
        pytest.param("../mobilenet_v3/infer", {}, "unknown-model", id="unknown-model"),
    ],
)
def test_an_example_of_an_error_of_the_protocol_is_what_the_service_says(
    real_client: httpx.Client, path: str, change: dict[str, Any], kind: str
) -> None:
    asked = copy.deepcopy(oip_examples.INFERENCE_REQUEST)
    asked["inputs"][0] |= change
    response = real_client.post(f"/v2/models/{examples.MODEL}/{path}", json=asked)
    assert response.json() == {"error": oip_examples.DETAILS[kind]}


def test_a_photo_in_a_form_is_described_as_a_file(document: dict[str, Any]) -> None:
    content = operations(document)["POST", "/predict"]["requestBody"]["content"]
    assert {"image/jpeg", "application/octet-stream", "multipart/form-data"} <= content.keys()
    [field] = content["multipart/form-data"]["schema"]["properties"].values()
    assert field["items"]["format"] == "binary"
