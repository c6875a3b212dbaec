"""Keys of Standard Webhooks 1.0: symmetric (``v1``, HMAC-SHA256) and asymmetric (``v1a``, ed25519).

How they are written: ``whsec_`` and base64 of 24 to 64 bytes; ``whsk_`` and base64 of the 32-byte
seed of ed25519 or of seed and public key, 64 bytes; ``whpk_`` and base64 of the 32-byte public key.
A key is made once and used many times: reading an ed25519 key costs as much as a signature.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import secrets
from collections.abc import Sequence
from typing import Literal, Protocol

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from hub.errors import InputError

SECRET_PREFIX = "whsec_"
PRIVATE_PREFIX = "whsk_"
PUBLIC_PREFIX = "whpk_"
#: As the code list ``key-kind`` names them.
KeyKind = Literal["hmac", "ed25519"]
_HMAC_MARK, _ED25519_MARK = "v1,", "v1a,"
#: Of a new symmetric secret: as long as the digest, beyond which HMAC gains nothing.
_NEW_SECRET_BYTES = 32
_ED25519_BYTES, _ED25519_SIGNATURE_BYTES = 32, 64


class VerifyingKey(Protocol):
    """Tells whether a signature was made over a message with this key or its secret half."""

    def verify(self, message: bytes, signatures: Sequence[str]) -> bool:
        """Whether one of ``signatures``, each with its mark in front, is ours; no input is an error."""
        ...


class SigningKey(VerifyingKey, Protocol):
    """Makes signatures. Nothing that prints a key shows it."""

    @property
    def kind(self) -> KeyKind: ...

    @property
    def public(self) -> str | None:
        """What the receiver verifies with, ``whpk_…``; ``None`` if that is the secret itself."""
        ...

    def sign(self, message: bytes) -> str:
        """The signature with its mark in front: ``v1,…`` or ``v1a,…``."""
        ...


class HmacKey:
    """HMAC-SHA256 under a secret that both sides know."""

    kind: KeyKind = "hmac"
    public: str | None = None

    def __init__(self, key: bytes) -> None:
        self._key = key

    def sign(self, message: bytes) -> str:
        return _HMAC_MARK + base64.b64encode(hmac.digest(self._key, message, hashlib.sha256)).decode()

    def verify(self, message: bytes, signatures: Sequence[str]) -> bool:
        expected, is_valid = self.sign(message).encode(), False
        for signature in signatures:
            # No early exit: the time taken does not tell which one came near.
            is_valid |= hmac.compare_digest(expected, signature.encode(errors="replace"))
        return is_valid


class Ed25519VerifyKey:
    """The public half of an ed25519 key: whoever holds it can verify and not sign."""

    def __init__(self, key: bytes) -> None:
        self._key = Ed25519PublicKey.from_public_bytes(key)

    def verify(self, message: bytes, signatures: Sequence[str]) -> bool:
        return any(self._is_valid(message, signature) for signature in signatures)

    def _is_valid(self, message: bytes, signature: str) -> bool:
        if not signature.startswith(_ED25519_MARK):
            return False
        text = signature[len(_ED25519_MARK) :]
        try:
            raw = base64.b64decode(text, validate=True)
        except (binascii.Error, ValueError):
            return False
        # Base64 has spare bits at the end; a signature has one spelling and no other.
        if len(raw) != _ED25519_SIGNATURE_BYTES or base64.b64encode(raw).decode() != text:
            return False
        try:
            self._key.verify(raw, message)
        except InvalidSignature:
            return False
        return True


class Ed25519Key:
    """The secret half of an ed25519 key, which the sender alone has."""

    kind: KeyKind = "ed25519"

    def __init__(self, seed: bytes) -> None:
        self._key = Ed25519PrivateKey.from_private_bytes(seed)
        public = self._key.public_key().public_bytes_raw()
        self._verify_key = Ed25519VerifyKey(public)
        self._public = PUBLIC_PREFIX + base64.b64encode(public).decode()

    @property
    def public(self) -> str | None:
        return self._public

    def sign(self, message: bytes) -> str:
        return _ED25519_MARK + base64.b64encode(self._key.sign(message)).decode()

    def verify(self, message: bytes, signatures: Sequence[str]) -> bool:
        return self._verify_key.verify(message, signatures)


def parse_secret(text: str) -> SigningKey:
    """The key of a ``whsec_`` or ``whsk_`` secret. Raises InputError, which never quotes the secret."""
    if text.startswith(SECRET_PREFIX):
        key = _decode(text, SECRET_PREFIX)
        if not 24 <= len(key) <= 64:
            raise InputError(f"a secret behind {SECRET_PREFIX!r} holds 24 to 64 bytes, not {len(key)}")
        return HmacKey(key)
    if text.startswith(PRIVATE_PREFIX):
        key = _decode(text, PRIVATE_PREFIX)
        if len(key) not in (_ED25519_BYTES, 2 * _ED25519_BYTES):
            raise InputError(f"a key behind {PRIVATE_PREFIX!r} holds 32 or 64 bytes, not {len(key)}")
        found = Ed25519Key(key[:_ED25519_BYTES])
        given = key[_ED25519_BYTES:]
        # Signing with a public key that is not the seed's would give the seed away.
        if given and found.public != PUBLIC_PREFIX + base64.b64encode(given).decode():
            raise InputError(f"the public half of a key behind {PRIVATE_PREFIX!r} is not that of its seed")
        return found
    raise InputError(f"a webhook secret starts with {SECRET_PREFIX!r} or {PRIVATE_PREFIX!r}")


def parse_public(text: str) -> VerifyingKey:
    """The key of a ``whpk_`` text. Raises InputError."""
    if not text.startswith(PUBLIC_PREFIX):
        raise InputError(f"a public webhook key starts with {PUBLIC_PREFIX!r}")
    key = _decode(text, PUBLIC_PREFIX)
    if len(key) != _ED25519_BYTES:
        raise InputError(f"a key behind {PUBLIC_PREFIX!r} holds 32 bytes, not {len(key)}")
    return Ed25519VerifyKey(key)


def parse_verifier(text: str) -> VerifyingKey:
    """The verifying key of any of the three forms. Raises InputError, which never quotes the text."""
    return parse_public(text) if text.startswith(PUBLIC_PREFIX) else parse_secret(text)


def new_secret(kind: KeyKind) -> str:
    """A new secret as it is written: ``whsec_…``, or ``whsk_…`` of the 32-byte seed."""
    prefix, size = (SECRET_PREFIX, _NEW_SECRET_BYTES) if kind == "hmac" else (PRIVATE_PREFIX, _ED25519_BYTES)
    return prefix + base64.b64encode(secrets.token_bytes(size)).decode()


def _decode(text: str, prefix: str) -> bytes:
    try:
        return base64.b64decode(text[len(prefix) :], validate=True)
    except (binascii.Error, ValueError):
        raise InputError(f"behind {prefix!r} comes base64") from None
