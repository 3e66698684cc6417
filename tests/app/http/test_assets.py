"""The files of the page: small, whole, of this service only, and known."""

import re
from hashlib import sha256
from pathlib import Path

import pytest

from app.http import assets

MOST_PHOTO_BYTES = 25_000
MOST_BYTES = 165_000  # of a document with everything that it loads, uncompressed
OWN = sorted(name for name in assets.names() if not name.startswith(("vendor/", "examples/")))
LINK = re.compile(r"""\b(?:href|src)=(["'])(.+?)\1""")
IMPORT = re.compile(r"""\b(?:from|import)\s*\(?\s*(["'`])(.+?)\1""")
INLINE = re.compile(r"<script(?![^>]*\bsrc=)|<style|\son\w+=|\sstyle=|javascript:", re.IGNORECASE)
MARKUP = re.compile(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(|new Function")


def text_of(name: str) -> str:
    return assets.asset(name).plain.decode()


def links(name: str) -> set[str]:
    """The addresses in a document."""
    return {found[1] for found in LINK.findall(text_of(name))}


def imports(name: str) -> set[str]:
    """What a module imports, at once or later, as a document would have to call it."""
    named = {found[1] for found in IMPORT.findall(text_of(name))}
    assert all(one.startswith("./") for one in named), named
    return {f"static/{one.removeprefix('./')}" for one in named}


def is_photo(name: str) -> bool:
    """An example photo, which a document names and loads only when it is clicked."""
    return name.endswith(".jpg")


def test_the_files_are_sent_in_less_than_half_their_size() -> None:
    every = [assets.asset(name) for name in assets.names() if not is_photo(name)]
    assert sum(len(one.gzipped) for one in every) < sum(len(one.plain) for one in every) / 2


@pytest.mark.parametrize("document", assets.DOCUMENTS.values())
def test_a_document_with_all_that_it_loads_is_small(document: str) -> None:
    loaded = {address.removeprefix("static/") for address in links(document)} & assets.names()
    assert len(loaded) > 5
    files = [assets.asset(name) for name in {document, *loaded} if not is_photo(name)]
    assert sum(len(file.plain) for file in files) < MOST_BYTES


def test_there_are_few_small_example_photos_with_a_licence() -> None:
    photos = [name for name in assets.names() if is_photo(name)]
    noted = (assets.FOLDER / "examples" / "README.md").read_text("utf-8")
    assert 0 < len(photos) <= 3
    for name in photos:
        assert len(assets.asset(name).plain) < MOST_PHOTO_BYTES
        assert f"`{Path(name).name}`" in noted


def test_every_file_belongs_to_a_document() -> None:
    """So that the limit on documents covers all files."""
    loaded = set().union(*(links(document) for document in assets.DOCUMENTS.values()))
    linked = {address.removeprefix("static/") for address in loaded}
    assert assets.names() == (linked & assets.names()) | set(assets.DOCUMENTS.values())


@pytest.mark.parametrize("name", [name for name in OWN if not name.endswith(".svg")])
def test_a_file_points_only_at_what_is_served(name: str) -> None:
    served = assets.paths() | {"/openapi.json"}
    for address in links(name) | imports(name):
        if not address.startswith("#"):
            assert f"/{address.removeprefix('./')}" in served, address


@pytest.mark.parametrize("document", assets.DOCUMENTS.values())
def test_a_document_asks_at_once_for_all_that_its_modules_import(document: str) -> None:
    asked = links(document)
    imported = [
        imports(address.removeprefix("static/"))
        for address in asked
        if address.endswith(".js") and "vendor" not in address
    ]
    assert any(imported)
    assert set().union(*imported) <= asked, f"{document} lacks a modulepreload"


@pytest.mark.parametrize(
    "code",
    [
        """import { a } from "./x.js";""",
        """import { a } from './x.js';""",
        """import {\n  a,\n} from "./x.js";""",
        """import "./x.js";""",
        """const { a } = await import('./x.js');""",
        """export * from "./x.js";""",
    ],
)
def test_an_import_is_seen_in_every_form_of_it(code: str) -> None:
    assert [found[1] for found in IMPORT.findall(code)] == ["./x.js"]


@pytest.mark.parametrize("name", OWN)
def test_nothing_is_inline_and_no_text_becomes_markup(name: str) -> None:
    assert not INLINE.findall(text_of(name))
    assert not MARKUP.findall(text_of(name))


@pytest.mark.parametrize("name", OWN)
def test_no_file_of_ours_names_another_server(name: str) -> None:
    # Examples of addresses in the text, and the namespace of SVG, are no requests.
    allowed = ("http://this-address/", "http://192.168.1.20:81/", "http://www.w3.org/2000/svg")
    found = re.findall(r"https?://[^\s\"'<]+", text_of(name))
    assert [address for address in found if not address.startswith(allowed)] == []


def test_what_others_wrote_is_as_they_published_it_and_with_their_licence() -> None:
    vendor = assets.FOLDER / "vendor"
    sums = dict(re.findall(r"([0-9a-f]{64})  (\S+)", (vendor / "README.md").read_text("utf-8")))
    by_name = {name: given for given, name in sums.items()}
    files = [path for path in vendor.iterdir() if path.suffix in assets.MEDIA_TYPES]
    assert {path.name for path in files} == by_name.keys()
    for path in files:
        assert sha256(path.read_bytes()).hexdigest() == by_name[path.name]
        assert (vendor / f"{path.name.partition('.')[0]}.LICENSE").is_file()


@pytest.mark.parametrize("name", ["", "../auth.py", "vendor/uPlot.LICENSE", "/etc/passwd", "."])
def test_only_files_of_the_page_can_be_had(name: str) -> None:
    with pytest.raises(KeyError):
        assets.asset(name)


def test_a_file_is_named_by_its_content() -> None:
    found = assets.asset("page.css")
    assert found.plain == Path(assets.FOLDER / "page.css").read_bytes()
    assert len({assets.asset(name).etag for name in assets.names()}) == len(assets.names())


@pytest.mark.parametrize("installed", [False, True])
def test_the_page_offers_the_formats_that_are_decoded(
    monkeypatch: pytest.MonkeyPatch, installed: bool
) -> None:
    monkeypatch.setattr(assets, "heic_is_installed", lambda: installed)
    assets.asset.cache_clear()
    try:
        page = assets.asset("index.html").plain.decode()
    finally:
        assets.asset.cache_clear()
    [accepted] = re.findall(r'id="files" accept="([^"]*)"', page)
    offered = {kind.removeprefix("image/") for kind in accepted.split(",")}
    always = {"jpeg", "png", "webp", "avif", "bmp", "gif", "tiff"}
    assert offered == (always | {"heic", "heif"} if installed else always)
