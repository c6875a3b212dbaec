"""Cursors of pages: opaque, signed, and good for the question alone that they were given for."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
from collections.abc import Mapping

from hub.domain.problem import ProblemError, fault
from hub.web.readers import Position

_SIGNATURE_BYTES = 16
MAX_LENGTH = 512


class Cursors:
    """Writes and reads cursors. Processes with the same ``secret`` understand each other's."""

    def __init__(self, secret: bytes) -> None:
        # A key of its own: a cursor proves nothing anywhere else.
        self._key = hmac.digest(secret, b"hub/cursor", hashlib.sha256)

    def write(self, position: Position, question: Mapping[str, object]) -> str:
        content = json.dumps(position, ensure_ascii=False).encode()
        signature = self._sign(content, question)
        return base64.urlsafe_b64encode(signature + content).decode().rstrip("=")

    def read(self, text: str, question: Mapping[str, object]) -> Position:
        """The position. Raises ProblemError 400 for what was not given for ``question``."""
        try:
            raw = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
        except (binascii.Error, ValueError):
            raise _unfit() from None
        signature, content = raw[:_SIGNATURE_BYTES], raw[_SIGNATURE_BYTES:]
        if not hmac.compare_digest(signature, self._sign(content, question)):
            raise _unfit()
        return tuple(json.loads(content))

    def _sign(self, content: bytes, question: Mapping[str, object]) -> bytes:
        asked = json.dumps(question, sort_keys=True, ensure_ascii=False).encode()
        covered = hashlib.sha256(asked).digest() + content
        return hmac.digest(self._key, covered, hashlib.sha256)[:_SIGNATURE_BYTES]


def _unfit() -> ProblemError:
    said = "not a cursor of this question; begin again without one"
    return ProblemError(400, "unfit-cursor", "游标无效", said, [fault(("cursor",), said)])
