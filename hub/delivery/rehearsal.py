"""A test event: a signed message without any matter, so that a department sees whether its endpoint takes and verifies.

It is no notice: its type is its own, nothing of an enterprise is in it, it stands in no inbox, starts no clock and gets
no receipt on the log. Whoever books what is not of this type by mistake finds no record in it.

    POST …  {"type": "hub.endpoint.test", "timestamp": …, "data": {"subscription": …, "test_id": …, "note": …}}
    2xx
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import NamedTuple

from hub.bus.http_client import HttpClient, RequestFailedError
from hub.domain.characters import shorten_personal
from hub.domain.plain import instant_text, to_json
from hub.domain.webhook import SigningKey, sign

EVENT_TYPE = "hub.endpoint.test"
#: For a person who reads it in his system's log.
NOTE = "测试事件，不含业务内容，无须办理"
#: Of an answer so much is shown: enough for an error's first lines.
_MOST_SAID = 500


class Receipt(NamedTuple):
    """What came of a test event. ``status`` is HTTP's, ``None`` where nobody answered, and ``failure`` says why;
    ``said`` is the beginning of the answer, numbers of persons masked. ``sent_at`` is aware UTC."""

    test_id: str
    sent_at: datetime
    milliseconds: int
    status: int | None
    is_taken: bool
    said: str
    failure: str = ""


async def rehearse(
    client: HttpClient, url: str, keys: Sequence[SigningKey], subscription: str, now: Callable[[], datetime],
    monotonic: Callable[[], float] = time.monotonic,
) -> Receipt:
    """Sends one, once; whatever comes of it is in the receipt."""
    test_id, at = f"test-{uuid.uuid4()}", now()
    body = to_json({
        "type": EVENT_TYPE, "timestamp": instant_text(at),
        "data": {"subscription": subscription, "test_id": test_id, "note": NOTE},
    })
    headers = {**sign(keys, test_id, at, body), "Content-Type": "application/json"}
    begun = monotonic()
    try:
        answer = await client.request("POST", url, body=body, headers=headers)
    except RequestFailedError as error:
        return Receipt(test_id, at, _since(begun, monotonic), error.status, False, "", str(error))
    said = shorten_personal(answer.body.decode("utf-8", "replace"), _MOST_SAID)
    return Receipt(test_id, at, _since(begun, monotonic), answer.status, answer.is_success, said)


def _since(begun: float, monotonic: Callable[[], float]) -> int:
    return round((monotonic() - begun) * 1000)
