"""Rejects the banned words and phrases of docs/glossary.md in every text that users read.

`python -m tests.test_plain_english` lists all hits by source.
"""

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.conftest import ROOT
from tests.user_texts import SOURCES, Text

GLOSSARY = ROOT / "docs" / "glossary.md"
GAP = r"(?=\s)[^\S\n]*\n?[^\S\n]*"  # at most one line break: phrases do not span paragraphs


class Rule(NamedTuple):
    """A banned phrase and what to write instead."""

    banned: str
    instead: str
    pattern: re.Pattern[str]
    allowed: tuple[re.Pattern[str], ...]


class Hit(NamedTuple):
    """A banned phrase in a text."""

    path: Path
    line: int
    found: str
    instead: str

    def __str__(self) -> str:
        path = self.path.relative_to(ROOT) if self.path.is_relative_to(ROOT) else self.path
        return f"{path}:{self.line}: write '{self.instead}' instead of '{self.found}'"


@cache
def rules() -> tuple[Rule, ...]:
    """All rows of the glossary's tables that ban something."""
    return tuple(_parse(GLOSSARY.read_text("utf-8")))


def hits(text: Text) -> Iterator[Hit]:
    """Every banned phrase of a text outside its allowed contexts."""
    for rule in rules():
        allowed = [
            match.span() for context in rule.allowed for match in context.finditer(text.words)
        ]
        for match in rule.pattern.finditer(text.words):
            if not any(start <= match.start() and match.end() <= end for start, end in allowed):
                line = text.line + text.words.count("\n", 0, match.start())
                yield Hit(text.path, line, " ".join(match[0].split()), rule.instead)


def _parse(glossary: str) -> Iterator[Rule]:
    for line in glossary.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if not line.startswith("| ") or len(cells) < 3:
            continue
        banned, allowed = cells[-2], cells[-1]
        for phrase in re.findall("`(.*?)`", banned):
            contexts = tuple(map(_pattern, re.findall("`(.*?)`", allowed)))
            yield Rule(phrase, cells[0].replace("`", ""), _pattern(phrase), contexts)


def _pattern(phrase: str) -> re.Pattern[str]:
    """Match whole words in any case, across line breaks; `…` is any word, a plural counts too."""
    words = (r"\S+" if word == "…" else re.escape(word) for word in phrase.split())
    end = r"s?(?!\w)" if phrase[-1].isalpha() else ""
    return re.compile(r"(?<!\w)" + GAP.join(words) + end, re.IGNORECASE)


@pytest.mark.parametrize("source", SOURCES)
def test_texts_use_the_words_of_the_glossary(source: str) -> None:
    texts = list(SOURCES[source]())
    assert len([text for text in texts if text.words]) >= 5
    assert not [str(hit) for text in texts for hit in hits(text)]


def test_every_banned_phrase_is_found() -> None:
    def found(rule: Rule) -> bool:
        phrase = rule.banned.replace("…", "word").replace(" ", "\n", 1)
        seen = hits(Text(GLOSSARY, 1, f"Here, {phrase} and more."))
        return rule.instead in {hit.instead for hit in seen}

    assert len(rules()) > 50
    assert not [rule.banned for rule in rules() if not found(rule)]


@pytest.mark.parametrize(
    "words",
    [
        "at most 32 images, at least one, the most accurate variant",
        "the connection was refused",
        "depicturesque",
        "as long as it is read",
    ],
)
def test_good_english_passes(words: str) -> None:
    assert not list(hits(Text(GLOSSARY, 1, words)))


def test_a_hit_names_its_line_and_the_replacement() -> None:
    (hit,) = hits(Text(ROOT / "README.md", 7, "Send one\nor two\nPictures."))
    assert str(hit) == "README.md:9: write 'image' instead of 'Pictures'"


def main() -> None:
    """Print every hit, by source."""
    for source, texts in SOURCES.items():
        found = sorted({str(hit) for text in texts() for hit in hits(text)})
        print(f"{source}: {len(found)}", *found, sep="\n  ")


if __name__ == "__main__":
    main()
