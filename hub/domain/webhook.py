"""Signatures of Standard Webhooks 1.0, symmetric form (``v1``).

What is signed is ``<webhook-id>.<webhook-timestamp>.<raw body>`` with HMAC-SHA256. A secret is
written ``whsec_`` + base64 of 24 to 64 bytes. Both directions use it: notices to a department,
and the department's feedback to the hub. Source: standardwebhooks.com, specification 1.0.0.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta

from hub.errors import InputError

ID_HEADER = "webhook-id"
TIMESTAMP_HEADER = "webhook-timestamp"
SIGNATURE_HEADER = "webhook-signature"
SECRET_PREFIX = "whsec_"
#: How far the clocks of the two sides may differ; the reference libraries use the same.
TOLERANCE = timedelta(minutes=5)
#: A sender that rotates has two or three secrets; more in one header is somebody guessing.
MAX_SIGNATURES = 16


class SignatureError(InputError):
    """The signature does not prove who sent this message."""


def parse_secret(text: str) -> bytes:
    """The key bytes of a ``whsec_`` secret. Raises InputError, which never quotes the secret."""
    if not text.startswith(SECRET_PREFIX):
        raise InputError(f"a webhook secret starts with {SECRET_PREFIX!r}")
    try:
        key = base64.b64decode(text[len(SECRET_PREFIX) :], validate=True)
    except (binascii.Error, ValueError):
        raise InputError("a webhook secret is base64 behind its prefix") from None
    if not 24 <= len(key) <= 64:
        raise InputError(f"a webhook secret holds 24 to 64 bytes, not {len(key)}")
    return key


def _signature(key: bytes, message_id: str, timestamp: str, body: bytes) -> str:
    digest = hmac.digest(key, f"{message_id}.{timestamp}.".encode() + body, hashlib.sha256)
    return "v1," + base64.b64encode(digest).decode()


def sign(keys: Sequence[bytes], message_id: str, at: datetime, body: bytes) -> dict[str, str]:
    """The three headers for ``body``; one signature for each key, so that a secret can be rotated.

    ``at`` is the (aware) time of this attempt, ``message_id`` the same on every attempt.
    """
    timestamp = str(int(at.timestamp()))
    return {
        ID_HEADER: message_id,
        TIMESTAMP_HEADER: timestamp,
        SIGNATURE_HEADER: " ".join(_signature(key, message_id, timestamp, body) for key in keys),
    }


def verify(
    keys: Iterable[bytes],
    headers: Mapping[str, str],
    body: bytes,
    now: datetime,
    tolerance: timedelta = TOLERANCE,
) -> str:
    """The message id, if one of the signatures was made with one of ``keys`` within ``tolerance``.

    ``headers`` is looked up with lower-case names. Raises SignatureError; its text says which
    header is at fault and never quotes one.
    """
    message_id = headers.get(ID_HEADER, "")
    timestamp = headers.get(TIMESTAMP_HEADER, "")
    given = headers.get(SIGNATURE_HEADER, "").split()
    if not message_id or not given:
        raise SignatureError(f"{ID_HEADER}, {TIMESTAMP_HEADER} and {SIGNATURE_HEADER} are required")
    # Ten digits last until the year 2286; the bound also keeps int() cheap on hostile input.
    if not (timestamp.isascii() and timestamp.isdigit() and len(timestamp) <= 12):
        raise SignatureError(f"{TIMESTAMP_HEADER} is seconds since 1970 in digits")
    if abs(now.timestamp() - int(timestamp)) > tolerance.total_seconds():
        raise SignatureError(f"{TIMESTAMP_HEADER} is more than {tolerance} away from the hub's clock")
    candidates = [text.encode() for text in given[:MAX_SIGNATURES]]
    is_valid = False
    for key in keys:
        expected = _signature(key, message_id, timestamp, body).encode()
        for candidate in candidates:
            # No early exit: the time taken does not tell which secret came near.
            is_valid |= hmac.compare_digest(expected, candidate)
    if not is_valid:
        raise SignatureError("no signature matches a secret of this subscription")
    return message_id
