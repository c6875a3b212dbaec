"""Code lists: versioned data under ``reference/codes``, one file a list.

National values differ between builds of the same system, so that no code stands in the program.
A list maps each code to its Chinese title; ``aliases`` are other texts that exports write for it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from hub.contracts.yaml_lines import FastLoader
from hub.errors import ContractError


@dataclass(frozen=True, slots=True)
class Code:
    """One entry: the code as it is stored, its Chinese title, its English meaning, other spellings."""

    code: str
    title: str
    en: str = ""
    aliases: tuple[str, ...] = ()


@dataclass(frozen=True)
class CodeList:
    """One list with its version and the source that it was taken from."""

    name: str
    title: str
    version: str
    source: str
    entries: Mapping[str, Code]
    _by_text: Mapping[str, str] = field(repr=False, compare=False)

    def __contains__(self, code: object) -> bool:
        return code in self.entries

    def resolve(self, text: str) -> str | None:
        """The code that a code, title or alias stands for; ``None`` if it stands for none.

        Blanks and the width of brackets, commas and colons do not matter.
        """
        return self._by_text.get(_fold(text))

    def title_of(self, code: str) -> str:
        """The Chinese title, or the code itself where the list does not know it."""
        entry = self.entries.get(code)
        return entry.title if entry else code


_WIDTHS = str.maketrans("（），：；／", "(),:;/", " \t\r\n\u3000\u00a0")


def _fold(text: str) -> str:
    return text.translate(_WIDTHS).casefold()


def load_code_lists(root: Path) -> dict[str, CodeList]:
    """All lists under ``root/reference/codes``, by name. Raises ContractError naming file and fault."""
    folder = root / "reference" / "codes"
    return {path.stem: _load(path) for path in sorted(folder.glob("*.yaml"))}


def _load(path: Path) -> CodeList:
    try:
        raw: Any = yaml.load(path.read_text(encoding="utf-8"), Loader=FastLoader)  # noqa: S506 - safe either way
        entries = {
            code: Code(code, entry["title"], entry.get("en", ""), tuple(entry.get("aliases", ())))
            for code, entry in raw["entries"].items()
        }
        name, title, version, source = (raw[key] for key in ("name", "title", "version", "source"))
    except (OSError, yaml.YAMLError, KeyError, TypeError, AttributeError) as error:
        raise ContractError(f"{path.name}: not a code list: {error}") from error
    if name != path.stem:
        raise ContractError(f"{path.name}: the list calls itself {name}; file and name have to agree")
    by_text: dict[str, str] = {}
    for code, entry in entries.items():
        for text in (code, entry.title, *entry.aliases):
            if not isinstance(text, str):
                raise ContractError(f"{path.name}: {text!r} has to be written in quotation marks")
            known = by_text.setdefault(_fold(text), code)
            if known != code:
                raise ContractError(f"{path.name}: {text} stands for both {known} and {code}")
    return CodeList(name, title, str(version), source, entries, by_text)
