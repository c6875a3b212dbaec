"""Templates, words and vendored files of the pages."""

from __future__ import annotations

import hashlib
import re
import string
from html.parser import HTMLParser
from pathlib import Path

import jinja2
import pytest
import yaml

from hub.access.refusal import SENTENCES
from hub.settings import PROJECT_ROOT
from hub.web.site.messages import LANGUAGES, catalog
from hub.web.site.render import STATIC, TEMPLATES

VENDORED = [STATIC / "vendor", PROJECT_ROOT / "tests" / "browser" / "vendor"]
#: Attributes that people read or hear.
_SPOKEN = {"title", "alt", "placeholder", "aria-label", "aria-description", "value"}


class Words(HTMLParser):
    """Collects what of a page a person would read."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found += [value for name, value in attrs if name in _SPOKEN and value and tag != "input"]

    def handle_data(self, data: str) -> None:
        self.found.append(data)


def words_of(template: str) -> list[str]:
    """Raw words of a template: what stands in it outside of tags, expressions and the catalog."""
    parts = [text for _, kind, text in jinja2.Environment().lex(template) if kind == "data"]
    parser = Words()
    # Where an expression stood in a tag, nothing is left: quotes stay closed.
    parser.feed("".join(parts))
    return [text.strip() for text in parser.found if any(letter.isalpha() for letter in text)]


@pytest.mark.parametrize("path", sorted(TEMPLATES.glob("*.html")), ids=lambda path: path.name)
def test_no_template_holds_words_outside_of_the_catalog(path: Path) -> None:
    assert words_of(path.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize("text", ["<p>登录</p>", "<p>Sign {{ t('x') }} in</p>", '<a title="Menu">{{ x }}</a>'])
def test_words_outside_of_the_catalog_are_found(text: str) -> None:
    assert words_of(text) != []


def test_both_languages_have_the_same_keys_with_the_same_gaps() -> None:
    def gaps(text: str) -> set[str]:
        return {name for _, name, _, _ in string.Formatter().parse(text) if name}

    chinese, english = catalog("zh"), catalog("en")
    assert chinese.keys() == english.keys()
    assert all(isinstance(text, str) and text.strip() for language in LANGUAGES for text in catalog(language).values())
    # A refusal may leave out in one language what the other names, and never asks for what it is not given.
    for key in chinese:
        allowed = gaps(SENTENCES[key.removeprefix("refusal.")]) if key.removeprefix("refusal.") in SENTENCES else None
        if allowed is None:
            assert gaps(chinese[key]) == gaps(english[key]), key
        else:
            assert gaps(chinese[key]) | gaps(english[key]) <= allowed, key


def test_every_refusal_has_words() -> None:
    for language in LANGUAGES:
        known = {key.removeprefix("refusal.") for key in catalog(language) if key.startswith("refusal.")}
        assert known == {*SENTENCES, "title"}


def test_every_key_that_a_template_names_is_there() -> None:
    for path in TEMPLATES.glob("*.html"):
        for key in re.findall(r'\bt\(["\']([a-z][\w.-]*[a-z])["\']', path.read_text(encoding="utf-8")):
            assert key in catalog("zh"), f"{path.name}: {key}"


@pytest.mark.parametrize("folder", VENDORED, ids=lambda folder: folder.parts[-3])
def test_vendored_files_are_those_that_were_written_down(folder: Path) -> None:
    entries = yaml.safe_load((folder / "VENDORED.yaml").read_text(encoding="utf-8"))
    for entry in entries:
        assert hashlib.sha256((folder / entry["file"]).read_bytes()).hexdigest() == entry["sha256"], entry["name"]
        assert (folder / entry["licence"]).stat().st_size > 100 and re.fullmatch(r"\d+\.\d+\.\d+", entry["version"])
    named = {entry["file"] for entry in entries} | {entry["licence"] for entry in entries} | {"VENDORED.yaml"}
    assert {path.name for path in folder.iterdir()} == named


def test_nothing_of_a_page_is_inline_or_from_elsewhere() -> None:
    for path in [*TEMPLATES.glob("*.html"), STATIC / "site.css", STATIC / "site.js"]:
        text = path.read_text(encoding="utf-8")
        assert not re.search(r"https?://|(?<![\w-])style=|\son[a-z]+=|<style|javascript:", text), path.name
        assert all("src=" in tag for tag in re.findall(r"<script[^>]*>", text)), path.name
