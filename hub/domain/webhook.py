"""Signatures of Standard Webhooks 1.0, both forms: ``v1`` (HMAC-SHA256) and ``v1a`` (ed25519).

What is signed is ``<webhook-id>.<webhook-timestamp>.<raw body>``. Both directions use it: notices
to a department, and the department's feedback to the hub. The keys are in ``webhook_keys``.
Source: standardwebhooks.com, specification 1.0.0.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta

from hub.domain.webhook_keys import (
    KeyKind,
    SigningKey,
    VerifyingKey,
    new_secret,
    parse_public,
    parse_secret,
    parse_verifier,
)
from hub.errors import InputError

__all__ = [
    "ID_HEADER", "MAX_SIGNATURES", "SIGNATURE_HEADER", "TIMESTAMP_HEADER", "TOLERANCE", "KeyKind", "SignatureError",
    "SigningKey", "VerifyingKey", "new_secret", "parse_public", "parse_secret", "parse_verifier", "sign", "verify",
]

ID_HEADER = "webhook-id"
TIMESTAMP_HEADER = "webhook-timestamp"
SIGNATURE_HEADER = "webhook-signature"
#: How far the clocks of the two sides may differ; the reference libraries use the same.
TOLERANCE = timedelta(minutes=5)
#: A sender that rotates has two or three secrets; more in one header is somebody guessing.
MAX_SIGNATURES = 16


class SignatureError(InputError):
    """The signature does not prove who sent this message."""


def _message(message_id: str, timestamp: str, body: bytes) -> bytes:
    return f"{message_id}.{timestamp}.".encode() + body


def sign(keys: Sequence[SigningKey], message_id: str, at: datetime, body: bytes) -> dict[str, str]:
    """The three headers for ``body``; one signature for each key, so that a secret can be rotated.

    ``at`` is the (aware) time of this attempt, ``message_id`` the same on every attempt. Raises
    InputError if the id holds a full stop: what is signed could then be cut in two ways.
    """
    if "." in message_id:
        raise InputError(f"{ID_HEADER} holds no full stop")
    timestamp = str(int(at.timestamp()))
    message = _message(message_id, timestamp, body)
    return {
        ID_HEADER: message_id,
        TIMESTAMP_HEADER: timestamp,
        SIGNATURE_HEADER: " ".join(key.sign(message) for key in keys),
    }


def verify(
    keys: Iterable[VerifyingKey],
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
    if "." in message_id or not message_id.isascii():
        raise SignatureError(f"{ID_HEADER} holds a full stop or a sign beyond ASCII")
    # Ten digits last until the year 2286; the bound also keeps int() cheap on hostile input.
    if not (timestamp.isascii() and timestamp.isdigit() and len(timestamp) <= 12):
        raise SignatureError(f"{TIMESTAMP_HEADER} is seconds since 1970 in digits")
    if abs(now.timestamp() - int(timestamp)) > tolerance.total_seconds():
        raise SignatureError(f"{TIMESTAMP_HEADER} is more than {tolerance} away from the hub's clock")
    message = _message(message_id, timestamp, body)
    # A list, not a generator: every key is tried, and the time taken does not tell which one fits.
    if not any([key.verify(message, given[:MAX_SIGNATURES]) for key in keys]):
        raise SignatureError("no signature matches a key of this subscription")
    return message_id
