"""Downloads from a server with every habit."""

from contextlib import nullcontext
from pathlib import Path
from typing import Any

import httpx
import pytest

from models.zoo.download import DownloadError, check_redirects
from models.zoo.fetch import Fetcher, FetchError
from tests.models.publisher import CONTENT, STOPS_AT, Habit, Publisher
from tests.models.zoo.fetching import NAME, fetch, leave_part, published, pull, unpinned


@pytest.mark.parametrize("habit", ["resumes", "whole"])
def test_a_file_is_fetched_into_the_cache_once(
    habit: Habit, publisher: Publisher, cache: Path
) -> None:
    for _ in range(2):
        assert fetch(cache, published(publisher, habit)) == CONTENT
    assert publisher.asked == [(habit, None)]
    assert list(cache.iterdir()) == [cache / NAME]


def test_progress_counts_up_to_all_bytes(publisher: Publisher, cache: Path) -> None:
    seen: list[tuple[str, int, int]] = []
    fetcher = Fetcher(cache, progress=lambda *news: seen.append(news))
    fetcher.file(NAME, published(publisher, "whole"))
    assert [done for _, done, _ in seen] == sorted(done for _, done, _ in seen)
    assert seen[-1] == (NAME, len(CONTENT), len(CONTENT))


def test_an_interrupted_download_resumes(publisher: Publisher, cache: Path) -> None:
    with pytest.raises(FetchError, match="peer closed connection"):
        fetch(cache, published(publisher, "breaks off"))
    assert (cache / f"{NAME}.part").read_bytes() == CONTENT[:STOPS_AT]
    assert not (cache / NAME).exists()
    assert fetch(cache, published(publisher, "resumes")) == CONTENT
    assert publisher.asked[-1] == ("resumes", f"bytes={STOPS_AT}-")


def test_a_server_without_ranges_makes_the_download_start_again(
    publisher: Publisher, cache: Path
) -> None:
    leave_part(cache, CONTENT[:1000])
    assert fetch(cache, published(publisher, "whole")) == CONTENT
    assert publisher.asked == [("whole", "bytes=1000-")]


def test_a_beginning_of_something_else_is_thrown_away(publisher: Publisher, cache: Path) -> None:
    leave_part(cache, b"x" * 1000)
    assert fetch(cache, published(publisher, "resumes")) == CONTENT
    assert publisher.asked == [("resumes", "bytes=1000-"), ("resumes", None)]


@pytest.mark.parametrize("surplus", [0, 5], ids=["as long", "longer"])
def test_a_beginning_that_is_too_long_is_not_resumed(
    surplus: int, publisher: Publisher, cache: Path
) -> None:
    leave_part(cache, b"x" * (len(CONTENT) + surplus))
    assert fetch(cache, published(publisher, "resumes")) == CONTENT
    assert publisher.asked == [("resumes", None)]


def test_a_rejected_range_does_not_block_the_next_try(publisher: Publisher, cache: Path) -> None:
    leave_part(cache, CONTENT[:1000])
    with pytest.raises(FetchError, match="416"):
        fetch(cache, published(publisher, "unsatisfiable"))
    assert fetch(cache, published(publisher, "unsatisfiable")) == CONTENT


@pytest.mark.parametrize(
    ("habit", "reason"),
    [
        ("other bytes", "gave SHA-256"),
        ("short", "gave SHA-256"),
        ("too much", f"larger than the limit of {len(CONTENT)} bytes"),
        ("missing", "404"),
    ],
)
def test_what_is_not_the_pinned_file_leaves_nothing_behind(
    habit: Habit, reason: str, publisher: Publisher, cache: Path
) -> None:
    with pytest.raises(FetchError, match=reason):
        fetch(cache, published(publisher, habit))
    assert list(cache.iterdir()) == []


@pytest.mark.parametrize(
    ("first", "last", "refused"),
    [("https", "https", False), ("https", "http", True), ("http", "https", False)],
)
def test_a_redirect_may_not_leave_https(first: str, last: str, refused: bool) -> None:
    def answer(scheme: str, **options: Any) -> httpx.Response:
        request = httpx.Request("GET", f"{scheme}://weights.example/file")
        return httpx.Response(200, request=request, **options)

    response = answer(last, history=[answer(first)])
    with pytest.raises(DownloadError, match="not https") if refused else nullcontext():
        check_redirects(response)


def test_the_bar_has_the_size_that_the_publisher_declares(
    publisher: Publisher, cache: Path
) -> None:
    seen: list[tuple[str, int, int]] = []
    fetcher = Fetcher(cache, progress=lambda *news: seen.append(news))
    pull(unpinned(publisher, "whole"), fetcher)
    assert {total for _, _, total in seen} == {len(CONTENT)}


def test_a_proxy_that_cannot_be_used_is_a_reason(
    publisher: Publisher, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ALL_PROXY", "pigeon://127.0.0.1:1")
    with pytest.raises(FetchError, match="proxy or certificates are not usable"):
        fetch(cache, published(publisher, "whole"))
