"""Check characters of the codes that the hub meets, each by its standard; form is not looked at."""

from __future__ import annotations

from operator import mul

#: GB 32100-2015, table 2: no I O Z S V. A character's place is its value.
ALPHABET = "0123456789ABCDEFGHJKLMNPQRTUWXY"

_VALUE = {char: value for value, char in enumerate(ALPHABET)}
_USCC_WEIGHTS = (1, 3, 9, 27, 19, 26, 16, 17, 20, 29, 25, 13, 8, 24, 10, 30, 28)
#: GB 11714 counts letters from A = 10 over the whole alphabet, unlike GB 32100.
_ORGANISATION_VALUE = {char: int(char, 36) for char in ALPHABET}
_ORGANISATION_WEIGHTS = (3, 7, 9, 10, 5, 8, 4, 2)
_ORGANISATION_CHECKS = "0X987654321"  # by the sum modulo 11
_ID_WEIGHTS = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
_ID_CHECKS = "10X98765432"  # by the sum modulo 11


def uscc_check_character(first17: str) -> str:
    """Character 18 of a USCC (GB 32100-2015). ``KeyError`` for a character outside the alphabet."""
    total = sum(map(mul, _USCC_WEIGHTS, map(_VALUE.__getitem__, first17)))
    return ALPHABET[-total % 31]


def organisation_check_character(first8: str) -> str:
    """Check character of an organisation code (GB 11714): 17 of a USCC, from its 9 to 16."""
    total = sum(map(mul, _ORGANISATION_WEIGHTS, map(_ORGANISATION_VALUE.__getitem__, first8)))
    return _ORGANISATION_CHECKS[total % 11]


def id_card_check_character(first17: str) -> str:
    """Character 18 of an ID card number (GB 11643, ISO 7064 MOD 11-2)."""
    return _ID_CHECKS[sum(map(mul, _ID_WEIGHTS, map(int, first17))) % 11]


def registration_check_digit(first14: str) -> str:
    """Digit 15 of a registration number (GS 15-2006, ISO 7064 MOD 11,10)."""
    remainder = 10
    for digit in first14:
        remainder = (remainder + int(digit)) % 10 or 10
        remainder = remainder * 2 % 11
    return str((11 - remainder) % 10)
