"""Before the first notice goes to an address, whoever listens there has to agree.

The hub posts a signed message with a challenge; who answers 2xx with the same challenge has read it and wants
what comes. Without it a slip of the pen would send one department's notices to another's server, and an address
could be entered to make the hub knock at a stranger's door.

    POST …  {"type": "hub.endpoint.verification", "timestamp": …, "data": {"subscription": …, "challenge": …}}
    200     {"challenge": …}
"""

from __future__ import annotations

import hmac
import json
import secrets
from collections.abc import Callable, Sequence
from datetime import datetime

from hub.bus.http_client import HttpClient, RequestFailedError
from hub.domain.plain import instant_text, to_json
from hub.domain.webhook import SigningKey, sign
from hub.errors import InputError

EVENT_TYPE = "hub.endpoint.verification"


async def shake_hands(
    client: HttpClient, url: str, keys: Sequence[SigningKey], subscription: str, now: Callable[[], datetime]
) -> None:
    """Asks whoever listens at ``url``. Raises InputError, which says what was wrong and what would be right."""
    challenge, at = secrets.token_urlsafe(24), now()
    body = to_json({
        "type": EVENT_TYPE, "timestamp": instant_text(at),
        "data": {"subscription": subscription, "challenge": challenge},
    })
    headers = {**sign(keys, f"verify-{secrets.token_hex(8)}", at, body), "Content-Type": "application/json"}
    try:
        answer = await client.request("POST", url, body=body, headers=headers)
    except RequestFailedError as error:
        raise InputError(f"the endpoint was asked whether it agrees, and failed: {error}") from None
    if not answer.is_success:
        raise InputError(f"the endpoint was asked whether it agrees, and refused: HTTP {answer.status}")
    try:
        document = json.loads(answer.body)
        echoed = document["challenge"] if isinstance(document, dict) else None
    except (ValueError, KeyError, RecursionError):
        echoed = None
    if not isinstance(echoed, str) or not hmac.compare_digest(echoed.encode(), challenge.encode()):
        raise InputError(
            'the endpoint answered without the challenge; it has to answer {"challenge": "…"} with that of the '
            f"message's data when its type is {EVENT_TYPE}"
        )
