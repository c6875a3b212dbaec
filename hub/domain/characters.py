"""Characters that no record may hold, by whatever way it came, and personal numbers that no answer repeats."""

from __future__ import annotations

import re
import unicodedata

#: Control characters (but tab and line breaks), what turns the direction of the text around it, so that a public
#: name reads as another, and halves of surrogate pairs, which no UTF-8 can hold. Marks of direction that turn nothing
#: (U+200E, U+200F) and joiners stay: Tibetan, Arabic and emoji are written with them.
_UNFIT = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
#: What may stand between the digits of a number that a person or a program hid or grouped.
_GAP = "[\\s\u200b-\u200f\u2060\ufeff-]{0,2}"
_ID_LIKE = re.compile(
    # Fifteen digits before a letter may be the beginning of a code of an enterprise.
    rf"(?<!\d)\d(?:{_GAP}\d){{13}}(?:(?:{_GAP}\d){{3}}{_GAP}[\dXxＸｘ](?!\d)|{_GAP}\d(?![0-9A-Za-z]))"
)
_PHONE_LIKE = re.compile(rf"(?<!\d)[1１](?:{_GAP}\d){{10}}(?!\d)")


def unfit_character(text: str) -> str | None:
    """The first character of ``text`` that no record may hold, or ``None``."""
    if text.isprintable():
        return None
    found = _UNFIT.search(text)
    return found.group() if found else None


def describe(character: str) -> str:
    """A character in words that can be shown: ``U+202E RIGHT-TO-LEFT OVERRIDE``."""
    name = unicodedata.name(character, "")
    return f"U+{ord(character):04X} {name}".rstrip()


def mask(text: str) -> str:
    """Keeps the first three and last two characters, so that the sender recognises the value."""
    if len(text) <= 5:
        return "*" * len(text)
    return f"{text[:3]}{'*' * (len(text) - 5)}{text[-2:]}"


def mask_personal(text: str) -> str:
    """``text``, as long as it was, with every run that looks like an ID number or a mobile number masked, also
    where blanks, hyphens or invisible characters stand in it."""
    text = _ID_LIKE.sub(lambda found: mask(found.group()), text)
    return _PHONE_LIKE.sub(lambda found: mask(found.group()), text)


def shorten_personal(text: str, most: int) -> str:
    """The first ``most`` characters of ``mask_personal``: cut first, half of a number would stand there unmasked."""
    return mask_personal(text[: most + 64])[:most]
