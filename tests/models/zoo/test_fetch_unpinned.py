"""Files whose publishers give no hash: recorded when they have proved to be the weights."""

import subprocess
from pathlib import Path

import pytest

from models.checkpoints.checkpoint import CheckpointError
from models.files.hashes import HashRecord
from models.zoo.fetch import HASH_RECORD, Fetcher, FetchError, WrongHash
from tests.models.publisher import CONTENT, Publisher
from tests.models.zoo.fetching import NAME, SHA256, leave_part, pull, unpinned


def test_the_first_pull_records_the_hash_of_a_file_that_is_not_pinned(
    publisher: Publisher, cache: Path
) -> None:
    assert pull(unpinned(publisher, "whole"), Fetcher(cache)) == CONTENT
    assert (cache / HASH_RECORD).read_text() == f"{SHA256}  {NAME}\n"
    run = ["sha256sum", "--check", HASH_RECORD]
    assert subprocess.run(run, cwd=cache, capture_output=True, check=False).returncode == 0


def test_a_file_that_changed_since_its_first_pull_is_rejected(
    publisher: Publisher, cache: Path, tmp_path: Path
) -> None:
    pull(unpinned(publisher, "whole"), Fetcher(cache))
    (cache / NAME).unlink()
    with pytest.raises(FetchError, match=rf"recorded in .*{HASH_RECORD} by the first pull"):
        pull(unpinned(publisher, "other bytes"), Fetcher(cache))
    (tmp_path / NAME).write_bytes(b"something else")
    with pytest.raises(WrongHash, match=HASH_RECORD):
        pull(unpinned(publisher), Fetcher(cache, (tmp_path,)))
    assert pull(unpinned(publisher, "resumes"), Fetcher(cache)) == CONTENT


def test_a_local_file_that_is_not_pinned_is_recorded_and_stays_where_it_is(
    publisher: Publisher, cache: Path, tmp_path: Path
) -> None:
    (tmp_path / NAME).write_bytes(CONTENT)
    for _ in range(2):
        assert pull(unpinned(publisher), Fetcher(cache, (tmp_path,), offline=True)) == CONTENT
    assert HashRecord(cache / HASH_RECORD).read() == {NAME: SHA256}
    assert not (cache / NAME).exists()


def test_a_download_that_is_no_checkpoint_is_neither_kept_nor_recorded(
    publisher: Publisher, cache: Path
) -> None:
    with pytest.raises(CheckpointError):
        pull(unpinned(publisher, "other bytes"), Fetcher(cache), CheckpointError("a login page"))
    assert list(cache.iterdir()) == []
    assert pull(unpinned(publisher, "whole"), Fetcher(cache)) == CONTENT


def test_a_file_that_was_put_there_by_hand_is_not_removed(
    publisher: Publisher, cache: Path
) -> None:
    cache.mkdir()
    (cache / NAME).write_bytes(CONTENT)
    with pytest.raises(CheckpointError):
        pull(unpinned(publisher), Fetcher(cache), CheckpointError("damaged"))
    assert (cache / NAME).exists()


def test_a_partial_file_without_a_hash_is_not_resumed(publisher: Publisher, cache: Path) -> None:
    leave_part(cache, b"x" * 1000)
    assert pull(unpinned(publisher, "resumes"), Fetcher(cache)) == CONTENT
    assert publisher.asked == [("resumes", None)]


def test_a_file_without_a_known_size_has_a_limit_all_the_same(
    publisher: Publisher, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("models.zoo.fetch.MAX_UNPINNED_BYTES", len(CONTENT))
    with pytest.raises(FetchError, match="larger than the limit of"):
        pull(unpinned(publisher, "too much"), Fetcher(cache))
    assert pull(unpinned(publisher, "whole"), Fetcher(cache)) == CONTENT


def test_a_damaged_record_of_hashes_is_an_error_that_names_the_line(
    publisher: Publisher, cache: Path
) -> None:
    pull(unpinned(publisher, "whole"), Fetcher(cache))
    with (cache / HASH_RECORD).open("a") as record:
        record.write("what is this\n")
    with pytest.raises(FetchError, match=rf"{HASH_RECORD}, line 2 is not"):
        pull(unpinned(publisher, "whole"), Fetcher(cache))
