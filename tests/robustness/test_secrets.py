"""Keys open the doors that they should, and appear nowhere."""

import json
from pathlib import Path

import httpx

from app.errors import Forbidden, Unauthorized
from tests.app.problems import assert_problem
from tests.processes import failed_start, running, until
from tests.robustness.traffic import light_image

KEYS = ("first-secret", "second-secret", "third-secret")
FILE_KEY, ADMIN_KEY, WRONG_KEY = "secret-of-the-file", "secret-of-the-admin", "secret-that-is-wrong"
PATHS = ("/models", "/info", "/metrics", "/openapi.json", "/models/x", "/nothing")
# They hold nothing of ours.
OPEN_PATHS = ("/healthz", "/readyz", "/", "/teach", "/watch", "/docs", "/static/page.css")


def test_keys_guard_everything_but_health_and_the_page_and_appear_nowhere(
    store: Path, tmp_path: Path
) -> None:
    (tmp_path / "keys.txt").write_text(f"# cameras\n\n  # more\n{FILE_KEY}\n", "utf-8")
    settings = {
        "api_keys": ",".join(KEYS),
        "api_keys_file": tmp_path / "keys.txt",
        "admin_key": ADMIN_KEY,
        "log_format": "json",
        "log_level": "debug",
    }
    with running(store, **settings) as service, service.client() as client:
        answers = [client.get(path) for path in OPEN_PATHS]
        assert {answer.status_code for answer in answers} == {200}
        for headers in (
            {},
            _bearer(WRONG_KEY),
            {"X-API-Key": WRONG_KEY},
            {"X-API-Key": ""},
            _basic(),
        ):
            refused = [client.get(path, headers=headers) for path in PATHS]
            refused.append(client.post("/predict", content=light_image(), headers=headers))
            refused.append(client.post("/models/reload", headers=headers))
            for answer in refused:
                assert_problem(answer, Unauthorized)
                assert answer.headers["www-authenticate"].startswith("Bearer ")
            answers += refused
        for key in (*KEYS, FILE_KEY, ADMIN_KEY):
            for headers in (_bearer(key), {"X-API-Key": key}, {"Authorization": f"bearer {key}"}):
                taken = [client.get(path, headers=headers) for path in PATHS]
                assert [answer.status_code for answer in taken[:4]] == [200] * 4
                taken.append(client.post("/predict", content=light_image(), headers=headers))
                assert taken[-1].status_code == 200
                taken.append(client.post("/predict?top_k=0", headers=headers))
                answers += taken
        forbidden = client.post("/models/reload", headers=_bearer(KEYS[0]))
        assert_problem(forbidden, Forbidden)
        reloaded = client.post("/models/reload", headers=_bearer(ADMIN_KEY))
        assert reloaded.status_code == 200
        shown = client.get("/info", headers=_bearer(KEYS[0])).json()["settings"]
        assert shown["api_keys"] == shown["admin_key"] == "set"
        said = "".join(_whole(answer) for answer in (*answers, forbidden, reloaded)) + service.log
        assert "POST /predict 200" in said
        assert "secret" not in said.replace(str(tmp_path), "")


def test_an_empty_key_is_refused_at_start(store: Path, tmp_path: Path) -> None:
    config = tmp_path / "gateway.toml"
    config.write_text('api_keys = ["good-secret", ""]\n', "utf-8")
    said = failed_start(store, config=config)
    assert "api_keys has an empty key" in said
    assert "secret" not in said.replace(str(tmp_path), "")


def test_a_log_line_cannot_be_forged_and_carries_no_headers(store: Path) -> None:
    with running(store) as service, service.client() as client:
        client.get(
            "/models/x%0a2026-01-01%2000:00:00%20INFO%20forged", headers={"X-Odd": "odd-value"}
        )
        client.get("/healthz", headers={"X-Request-ID": "chosen-by-me"})
        until(lambda: r"x\n2026" in service.log, "it was logged")
        lines = service.log.splitlines()
    assert not [line for line in lines if line.startswith("2026-01-01 00:00:00 INFO forged")]
    [line] = [line for line in lines if r"/models/x\n2026" in line]
    assert " 404 " in line
    assert "odd-value" not in "".join(lines)


def test_a_json_log_has_an_object_a_line_with_all_that_a_request_was(store: Path) -> None:
    with running(store, log_format="json") as service, service.client() as client:
        sent = {"Content-Type": "image/jpeg", "X-Request-ID": "camera-7/42"}
        answer = client.post("/predict", content=light_image(), headers=sent)
        until(lambda: "camera-7/42" in service.log, "it was logged")
        lines = [json.loads(line) for line in service.log.splitlines()]
    assert answer.headers["x-request-id"] == "camera-7/42"
    [line] = [line for line in lines if line.get("id") == "camera-7/42"]
    assert line.keys() == {
        "time", "level", "message", "id", "method", "path", "status", "took_ms", "model", "images",
        "body_bytes", "queue_ms", "decode_ms", "inference_ms",
    }  # fmt: skip
    assert (line["status"], line["images"], line["body_bytes"]) == (200, 1, len(light_image()))
    assert line["decode_ms"] > 0
    assert line["took_ms"] >= line["decode_ms"] + line["inference_ms"]


def _bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


def _basic() -> dict[str, str]:
    return {"Authorization": f"Basic {KEYS[0]}"}


def _whole(answer: httpx.Response) -> str:
    return f"{answer.headers} {answer.text}"
