"""The folders of the peers."""

from pathlib import Path

import pytest

from loadtest.peers.peer import Peer, read_peers
from loadtest.peers.run import install
from loadtest.peers.workload import first_label

LABELS = ["Egyptian cat", "tiger cat", "tabby"]
PEERS = read_peers()


def test_the_seven_servers_are_there() -> None:
    expected = "bentoml fastapi kserve litserve mlserver mosec ray"
    assert [peer.name for peer in PEERS] == expected.split()


def test_an_unknown_peer_is_rejected_with_the_known_names() -> None:
    with pytest.raises(SystemExit, match=r"Unknown peer 'nosuch'\. Known peers: bentoml"):
        install(["mosec", "nosuch"])


@pytest.mark.parametrize("peer", PEERS, ids=lambda peer: peer.name)
def test_every_requirement_is_pinned(peer: Peer) -> None:
    lines = peer.requirements.read_text("utf-8").split()
    assert all("==" in line for line in lines)
    assert peer.version


@pytest.mark.parametrize("peer", PEERS, ids=lambda peer: peer.name)
def test_every_peer_decodes_with_the_same_libraries(peer: Peer) -> None:
    common = {"onnxruntime==1.31.1", "pillow==13.0.0", "numpy==2.4.6"}
    assert common <= set(peer.requirements.read_text("utf-8").split())


@pytest.mark.parametrize("peer", PEERS, ids=lambda peer: peer.name)
def test_the_body_that_a_peer_gets_holds_the_image(peer: Peer) -> None:
    data = peer.body(b"\xff\xd8jpeg").data
    assert b"\xff\xd8jpeg" in data or b"/9hqcGVn" in data


def test_an_unknown_key_is_rejected(tmp_path: Path) -> None:
    (tmp_path / "some").mkdir()
    (tmp_path / "some" / "peer.toml").write_text('title = "x"\nworkers = 2\n')
    with pytest.raises(TypeError, match="workers"):
        read_peers(tmp_path)


@pytest.mark.parametrize(
    "answer",
    [
        '{"results":[{"predictions":[{"label":"Egyptian cat"},{"label":"tabby"}]}]}',
        '{"outputs": [{"data": ["Egyptian cat", "tiger cat", "tabby"]}]}',
    ],
    ids=["objects", "lists"],
)
def test_the_first_label_is_found_in_any_shape_of_answer(answer: str) -> None:
    assert first_label(answer, LABELS) == "Egyptian cat"


def test_an_answer_without_a_known_label_has_no_first() -> None:
    assert first_label('{"error": "no"}', LABELS) is None
