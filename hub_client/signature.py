"""Signatures of Standard Webhooks 1.0: of the hub's notices, and of a department's answers.

``whsec_…`` (HMAC-SHA256) needs nothing beside Python; ``whpk_…`` and ``whsk_…`` (ed25519) need the package
``cryptography``.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import time
from collections.abc import Mapping
from typing import Any

from hub_client.errors import SignatureError

#: How far the clocks of the two sides may differ.
TOLERANCE_SECONDS = 300.0
_MAX_SIGNATURES = 16


def verify(
    key: str, headers: Mapping[str, str], body: bytes, *, now: float | None = None,
    tolerance_seconds: float = TOLERANCE_SECONDS,
) -> dict[str, Any]:
    """The notice in ``body``, if it was signed with ``key`` (``whpk_…`` or ``whsec_…``) within the tolerance.

    ``body`` has to be the bytes as they came. ``headers`` may have their names in any case. Raises SignatureError.
    """
    found = {name.lower(): value for name, value in headers.items()}
    message_id, timestamp = found.get("webhook-id", ""), found.get("webhook-timestamp", "")
    given = found.get("webhook-signature", "").split()[:_MAX_SIGNATURES]
    if not message_id or not given:
        raise SignatureError("webhook-id, webhook-timestamp and webhook-signature are required")
    if not (timestamp.isascii() and timestamp.isdigit() and len(timestamp) <= 12):
        raise SignatureError("webhook-timestamp is seconds since 1970 in digits")
    if abs((time.time() if now is None else now) - int(timestamp)) > tolerance_seconds:
        raise SignatureError("webhook-timestamp is too far from this machine's clock")
    message = f"{message_id}.{timestamp}.".encode() + body
    if not _matches(key, message, given):
        raise SignatureError("no signature was made with this key")
    try:
        document = json.loads(body)
    except ValueError:
        document = None
    if not isinstance(document, dict):
        raise SignatureError("the body is signed and is no JSON object")
    return document


def sign(key: str, message_id: str, body: bytes, *, now: float | None = None) -> dict[str, str]:
    """The three headers for ``body``. ``key`` is ``whsec_…`` or ``whsk_…``; ``message_id`` stays the same on every
    attempt and holds no full stop. Raises ValueError for a key that is none."""
    if not message_id or "." in message_id:
        raise ValueError("message_id holds at least one character and no full stop")
    timestamp = str(int(time.time() if now is None else now))
    message = f"{message_id}.{timestamp}.".encode() + body
    if key.startswith("whsec_"):
        signature = _hmac(key, message)
    else:
        private = _ed25519().Ed25519PrivateKey.from_private_bytes(_bytes_of(key, "whsk_")[:32])
        signature = "v1a," + base64.b64encode(private.sign(message)).decode()
    return {"webhook-id": message_id, "webhook-timestamp": timestamp, "webhook-signature": signature}


def _matches(key: str, message: bytes, given: list[str]) -> bool:
    if key.startswith("whsec_"):
        expected = _hmac(key, message).encode()
        return any([hmac.compare_digest(expected, each.encode(errors="replace")) for each in given])
    from cryptography.exceptions import InvalidSignature

    public = _ed25519().Ed25519PublicKey.from_public_bytes(_bytes_of(key, "whpk_"))
    for each in given:
        mark, _, text = each.partition(",")
        if mark != "v1a":
            continue
        try:
            public.verify(base64.b64decode(text, validate=True), message)
        except (InvalidSignature, binascii.Error, ValueError):
            continue
        return True
    return False


def _hmac(key: str, message: bytes) -> str:
    return "v1," + base64.b64encode(hmac.digest(_bytes_of(key, "whsec_"), message, hashlib.sha256)).decode()


def _bytes_of(key: str, prefix: str) -> bytes:
    try:
        found = base64.b64decode(key.removeprefix(prefix), validate=True) if key.startswith(prefix) else b""
    except (binascii.Error, ValueError):
        found = b""
    if len(found) < 24:
        # The key itself stands in no message.
        raise ValueError(f"a key is written as {prefix} and base64")
    return found


def _ed25519() -> Any:
    try:
        from cryptography.hazmat.primitives.asymmetric import ed25519
    except ImportError:
        raise ValueError("keys of ed25519 need the package cryptography: pip install cryptography") from None
    return ed25519
