"""Numbers that are right in form and impossible in fact.

Written apart from ``hub.domain`` on purpose: the generator must not share a mistake with the
check that it feeds. Formulas: GB 32100-2015 (USCC), GB 11714 (organisation code), GS 15-2006 with
ISO 7064 MOD 11,10 (registration number), GB 11643 (ID number).
"""

from __future__ import annotations

from random import Random

#: No I, O, Z, S, V: they look like 1, 0, 2, 5, U.
USCC_ALPHABET = "0123456789ABCDEFGHJKLMNPQRTUWXY"
_USCC_WEIGHTS = (1, 3, 9, 27, 19, 26, 16, 17, 20, 29, 25, 13, 8, 24, 10, 30, 28)
_ORGANISATION_WEIGHTS = (3, 7, 9, 10, 5, 8, 4, 2)
_ORGANISATION_ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_ID_WEIGHTS = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
_ID_CHECKS = "10X98765432"


def uscc_check(body: str) -> str:
    """Check character of the 17 characters ``body``."""
    total = sum(USCC_ALPHABET.index(c) * w for c, w in zip(body, _USCC_WEIGHTS, strict=True))
    return USCC_ALPHABET[(31 - total % 31) % 31]


def organisation_check(body: str) -> str:
    """Check character of the 8 characters ``body`` of an organisation code."""
    total = sum(_ORGANISATION_ALPHABET.index(c) * w for c, w in zip(body, _ORGANISATION_WEIGHTS, strict=True))
    return "0X987654321"[total % 11]


def registration_check(body: str) -> str:
    """ISO 7064 MOD 11,10 digit of the 14 digits ``body``."""
    product = 10
    for digit in body:
        product = (product + int(digit)) % 10 or 10
        product = product * 2 % 11
    return str((11 - product) % 10)


def id_check(body: str) -> str:
    """Check character of the 17 digits ``body`` of an ID number."""
    return _ID_CHECKS[sum(int(d) * w for d, w in zip(body, _ID_WEIGHTS, strict=True)) % 11]


def is_uscc(text: str) -> bool:
    """Whether the check character fits (the organisation code inside is not looked at)."""
    return len(text) == 18 and all(c in USCC_ALPHABET for c in text) and uscc_check(text[:17]) == text[17]


def is_id_number(text: str) -> bool:
    """Whether ``text`` has the form and the check character of an 18-character ID number."""
    return (
        len(text) == 18
        and text[:17].isascii()
        and text[:17].isdigit()
        and text[17].upper() == id_check(text[:17])
    )


def make_uscc(rng: Random, prefix: str, region: str) -> str:
    """A USCC whose organisation code is of the series 99 (MA99.... / 99......), which nobody issues."""
    if prefix in ("91", "92", "93"):
        body = "MA99" + "".join(rng.choices(USCC_ALPHABET, k=4))
    elif prefix[0] == "N":
        body = "MF99" + f"{rng.randrange(10_000):04d}"
    else:
        body = "99" + f"{rng.randrange(1_000_000):06d}"
    front = prefix + region + body + organisation_check(body)
    return front + uscc_check(front)


def make_registration_number(rng: Random, region: str, *, is_individual: bool) -> str:
    """A 15-digit registration number; first serial digit 2 for companies, 6 for individuals."""
    body = f"{region}{'6' if is_individual else '2'}0{rng.randrange(1_000_000):06d}"
    return body + registration_check(body)


def make_id_number(rng: Random, region: str) -> str:
    """An ID number of somebody born between 1850 and 1859, and so of nobody."""
    body = f"{region}185{rng.randrange(10)}{rng.randrange(1, 13):02d}{rng.randrange(1, 29):02d}"
    body += f"{rng.randrange(1000):03d}"
    return body + id_check(body)


def make_wrong_check(code: str) -> str:
    """``code`` with another last character that is no look-alike of the right one."""
    return code[:-1] + next(c for c in "4639" if c != code[-1])


def make_look_alike(code: str) -> str | None:
    """``code`` as a clerk types it, the letter O for a zero; ``None`` where it has no zero."""
    at = code.rfind("0", 0, 17)
    return None if at < 0 else code[:at] + "O" + code[at + 1 :]
