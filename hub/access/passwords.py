"""Passwords: what is taken, how it is kept, how it is compared.

By NIST SP 800-63B (5.1.1): a length, a list of the common ones, no rules of composition, no change by the calendar.
"""

from __future__ import annotations

import secrets
import threading
import unicodedata
from functools import cache
from pathlib import Path

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from argon2.profiles import RFC_9106_LOW_MEMORY

from hub.access.refusal import RefusalError

LEAST, MOST = 12, 128
#: One hash takes 64 MiB and all of a core's cache: more at once would let anybody fill the memory with sign-ins.
_AT_ONCE = threading.BoundedSemaphore(2)
_HASHER = PasswordHasher.from_parameters(RFC_9106_LOW_MEMORY)
#: Without letters and digits that are mistaken for each other on paper.
_LETTERS = "abcdefghjkmnpqrstuvwxyz23456789"
_SERIES = ("0123456789" * 3, "9876543210" * 3, "abcdefghijklmnopqrstuvwxyz", "qwertyuiopasdfghjklzxcvbnm")


def normalise(text: str) -> str:
    """The same characters for the same keys on every machine (NIST: NFKC before hashing)."""
    return unicodedata.normalize("NFKC", text)


def check(password: str, account: str) -> None:
    """Raises RefusalError for a password that is not taken."""
    text = normalise(password)
    if len(text) < LEAST:
        raise RefusalError("password-short", least=LEAST)
    if len(text) > MOST:
        raise RefusalError("password-long", most=MOST)
    plain = text.casefold()
    if plain in _common() or plain.rstrip("0123456789!.@#") in _common():
        raise RefusalError("password-common")
    if len(set(plain)) < 5 or any(plain in series for series in _SERIES):
        raise RefusalError("password-simple")
    if account.casefold() in plain:
        raise RefusalError("password-personal")


def generate(account: str) -> str:
    """A password that a person can read out and type: 79 random bits in four groups, one that ``check`` takes."""
    while True:
        made = "-".join("".join(secrets.choice(_LETTERS) for _ in range(4)) for _ in range(4))
        try:
            check(made, account)
        except RefusalError:  # it happens to hold a short name
            continue
        return made


def hash_password(password: str) -> str:
    """The argon2id hash as a PHC string."""
    with _AT_ONCE:
        return _HASHER.hash(normalise(password))


def is_right(password: str, phc: str | None) -> bool:
    """Whether ``password`` is the one of ``phc``. ``None`` takes as long and is never right: how long an answer
    takes does not tell which accounts there are."""
    # Longer than any that was taken: not worth its hash, whosever it is.
    if len(password) > 4 * MOST:
        return False
    with _AT_ONCE:
        try:
            _HASHER.verify(phc or _nobodys(), normalise(password))
        except (VerificationError, InvalidHashError):
            return False
    return phc is not None


@cache
def _nobodys() -> str:
    return _HASHER.hash(secrets.token_urlsafe(32))


@cache
def _common() -> frozenset[str]:
    lines = (Path(__file__).parent / "common_passwords.txt").read_text(encoding="utf-8").splitlines()
    return frozenset(line.strip().casefold() for line in lines if line and not line.startswith("#"))
