"""Words of the pages: one file a language under ``messages/``, with the same keys in each."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Literal, cast, get_args

import yaml

from hub.contracts.yaml_lines import FastLoader

Language = Literal["zh", "en"]
LANGUAGES: tuple[Language, ...] = get_args(Language)
FOLDER = Path(__file__).parent / "messages"


@cache
def catalog(language: Language) -> Mapping[str, str]:
    """Key -> sentence, whose ``{names}`` are filled in."""
    text = (FOLDER / f"{language}.yaml").read_text(encoding="utf-8")
    return cast("dict[str, str]", yaml.load(text, Loader=FastLoader))  # noqa: S506 - safe either way


def say(language: Language, key: str, **values: object) -> str:
    """The sentence of ``key``. Raises KeyError for a key that is none: a page never shows a key."""
    return catalog(language)[key].format(**values)


def has(key: str) -> bool:
    return key in catalog("zh")


def language_of(cookie: str | None) -> Language:
    """The language that a cookie names, else Chinese."""
    return cookie if cookie in LANGUAGES else "zh"
