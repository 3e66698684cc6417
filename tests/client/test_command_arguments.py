"""Arguments of `classify`: rejected ones, and an address with a password."""

import sys
from base64 import b64decode
from pathlib import Path

import pytest
from mobilenet_gateway_client.__main__ import main as client_main

from tests.app.cli_runner import run
from tests.client.scripted import GOOD, INFO, scripted


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        pytest.param(("nowhere", "--output", "x.csv"), "'nowhere' is not a folder.", id="folder"),
        pytest.param((".", "--output", "."), "'.' is a folder.", id="output"),
        pytest.param(
            (".", "--output", "x.csv", "--embeddings", "x.parquet"),
            "--embeddings: not allowed with argument --output.",
            id="two-tables",
        ),
        pytest.param(
            (".", "--output", "x.csv", "--model", "gate,porch"),
            "--model: a table has the classes of one head.",
            id="several-heads",
        ),
        pytest.param(
            (".", "--embeddings", "x.parquet", "--top-k", "2"),
            "--top-k: not allowed with argument --embeddings.",
            id="classes-of-embeddings",
        ),
        pytest.param(
            (".", "--embeddings", "x.parquet", "--explain", "maps"),
            "--explain: not allowed with argument --embeddings.",
            id="maps-of-embeddings",
        ),
        pytest.param(
            (".", "--output", "x.csv", "--explain", __file__), "is not a folder.", id="maps"
        ),
        pytest.param((".", "--embeddings", "."), "--embeddings: '.' is a folder.", id="table"),
        pytest.param((".", "--top-k", "101"), "'101' is not a whole number, 1 to 100.", id="top-k"),
        pytest.param((".", "--concurrency", "x"), "'x' is not a whole number", id="concurrency"),
        pytest.param((".", "--patience-s", "-1"), "'-1' is not a number of seconds", id="negative"),
        pytest.param((".", "--patience-s", "x"), "'x' is not a number of seconds", id="text"),
        pytest.param((".", "--top", "1"), "--output --embeddings is required.", id="abbreviation"),
    ],
)
def test_a_bad_argument_is_rejected_with_the_way_to_the_help(
    arguments: tuple[str, ...],
    reason: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sys, "argv", ["mobilenet-gateway-client", "classify", *arguments])
    with pytest.raises(SystemExit) as ended:
        client_main()
    said = capsys.readouterr().err
    assert ended.value.code == 2
    assert "Try 'mobilenet-gateway-client classify --help' for help." in said
    assert reason in said


def test_impossible_arguments_are_rejected_before_the_first_request(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rejections = {
        ("--output", str(tmp_path / "rows.xls")): ".csv, .jsonl, .parquet",
        ("--embeddings", str(tmp_path / "rows.csv")): "Embeddings are written as .parquet",
        ("--output", str(tmp_path / "rows.csv"), "--url", "gateway"): "Invalid address",
    }
    for arguments, reason in rejections.items():
        outcome = run(capsys, "classify", str(folder), *arguments)
        assert outcome.status == 1
        assert outcome.err.startswith("error: ")
        assert reason in outcome.err
    assert list(tmp_path.iterdir()) == []


def test_a_password_in_the_address_is_sent_and_stored_nowhere(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "rows.csv"
    with scripted([INFO, INFO, GOOD, INFO, INFO, INFO]) as script:
        address = script.url.replace("://", "://me:se%40cret@")
        arguments = ("classify", str(folder / "below"), "--output", str(output), "--url")
        assert run(capsys, *arguments, address).status == 0
        assert all("Authorization" in headers for headers in script.headers)
        assert b64decode(script.headers[0]["Authorization"].split()[1]) == b"me:se@cret"
        for same in (address, script.url):
            assert "1 done before" in run(capsys, *arguments, same).out
        rejected = run(capsys, *arguments, address, "--top-k", "1")
        assert "top_k was 5 and is now 1" in rejected.err
        assert "cret" not in rejected.err
    assert {path.name for path in tmp_path.iterdir()} == {"rows.csv", ".rows.csv.run.json"}
    assert all(b"cret" not in path.read_bytes() for path in tmp_path.iterdir())
