"""Takes the numbers of persons out of texts: identity cards and mobile telephones, in whatever width of digits."""

from __future__ import annotations

import re
from collections.abc import Callable

from hub.domain.identifiers import is_id_card, is_uscc

#: What stands where a value was.
HIDDEN = "******"
#: Full-width digits are digits to a reader; one character for one, so that places agree.
_NARROW = str.maketrans("０１２３４５６７８９Ｘｘ", "0123456789XX")
#: No personal number is shorter: a cheap look before the dear one. ``\d`` takes full-width digits too.
LONG_NUMBER = re.compile(r"\d{11}")
_MONTH_DAY = r"(?:0[1-9]|1[0-2])(?:0[1-9]|[12][0-9]|3[01])"
_PERSONAL_NUMBER = re.compile(
    r"(?<![0-9])(?:"
    rf"[1-9][0-9]{{5}}(?:1[89]|20)[0-9]{{2}}{_MONTH_DAY}[0-9]{{3}}[0-9Xx]"  # GB 11643
    rf"|[1-9][0-9]{{5}}[0-9]{{2}}{_MONTH_DAY}[0-9]{{3}}"  # of before 1999: 15 digits
    r"|(?:86)?1[3-9][0-9]{9}"  # mobile telephone
    r")(?![0-9])"
)
#: Ids as the hub and its senders make them (RFC 9562).
_UUID = re.compile(
    "(?<![0-9A-Za-z])[0-9a-f]{8}-[0-9a-f]{4}-[1-8][0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}(?![0-9A-Za-z])"
)


def scrub(text: str, secrets: list[tuple[str, str]]) -> str:
    """``text`` without personal numbers, and with each secret replaced by what is to stand for it."""
    for value, replacement in secrets:
        text = text.replace(value, replacement)
    return _hide_numbers(text, _is_enterprise_code) if LONG_NUMBER.search(text) else text


def scrub_words(text: str) -> str:
    """What a person or a program says of a record, without personal numbers; the ids of records in it stay."""
    return _between_ids(text, lambda part: scrub(part, []))


def strip_identity(text: str) -> str:
    """``text`` without identity numbers; other long numbers, such as those of documents, stay."""
    return _hide_numbers(text, lambda number: not is_identity_number(number))


def _hide_numbers(text: str, is_harmless: Callable[[str], bool]) -> str:
    narrow = text.translate(_NARROW)
    pieces, end = [], 0
    for match in _PERSONAL_NUMBER.finditer(narrow):
        if is_harmless(match[0].upper()):
            continue
        pieces += [text[end : match.start()], HIDDEN]
        end = match.end()
    return "".join([*pieces, text[end:]])


def _is_enterprise_code(number: str) -> bool:
    """A code of digits alone can have the form of an identity number; its check characters tell."""
    return is_uscc(number) and not is_id_card(number)


def is_identity_number(number: str) -> bool:
    """Whether it is a natural person's, by its check character, and no enterprise's code."""
    return is_id_card(number) and not is_uscc(number)


def _between_ids(text: str, change: Callable[[str], str]) -> str:
    """``text`` with ``change`` made to what stands between ids. Of 3,000 ids one has digits in it that look like a
    mobile number; an id that is masked names nothing any more."""
    pieces, end = [], 0
    for found in _UUID.finditer(text):
        pieces += [change(text[end : found.start()]), found.group()]
        end = found.end()
    return "".join((*pieces, change(text[end:])))
