"""What a page says of its record to the hub: the state of the site stands in the pages themselves."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from datetime import datetime
from hashlib import sha256
from typing import Any

from hub.disclosure import Order, Standing, digest_of, instant_text

#: The mark stands at the head of a page; so much of it is read.
HEAD_BYTES = 16_384
_MARK = re.compile(rb'<meta name="hub-record" content="([^"]*)">')
_SAFE = re.compile(r"[0-9A-Za-z_-]{1,64}")
#: Control characters, and those that turn the direction of writing: a name must not rewrite what is around it.
_UNSEEN = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff\ufffe\uffff]"
)


@dataclass(frozen=True, slots=True)
class Entry:
    """A record on the site. Times are RFC 3339 in UTC. Of one that is gone nothing of its content is kept.

    ``name`` and ``code`` are the party's, ``headline`` the number or subject of the record, ``file`` its page.
    """

    correlation_id: str
    sequence: int
    is_public: bool
    digest: str
    order_id: str
    updated_at: str
    first_published_at: str | None = None
    kind: str = ""
    subject: str = ""
    name: str = ""
    code: str = ""
    headline: str = ""
    reason: str = ""

    @property
    def standing(self) -> Standing:
        return Standing(self.sequence, self.is_public, self.digest, self.order_id)

    @property
    def path(self) -> str:
        """Of its page, from the root of the site."""
        return record_path(self.correlation_id)

    @property
    def enterprise_path(self) -> str:
        return enterprise_path(self.subject)


def file_key(text: str) -> str:
    """A file name for an identifier: itself where that is harmless, else a digest."""
    return text if _SAFE.fullmatch(text) else f"x-{sha256(text.encode()).hexdigest()[:32]}"


def record_path(correlation_id: str) -> str:
    """The page of a record, from the root of the site."""
    key = file_key(correlation_id)
    return f"records/{sha256(key.encode()).hexdigest()[:2]}/{key}.html"


def enterprise_path(subject: str) -> str:
    """The page of an enterprise, from the root of the site."""
    return f"enterprises/{file_key(subject)}.html"


def seen(value: object) -> str:
    """Text as a page shows it: without characters that nobody sees."""
    return _UNSEEN.sub("", str(value))


def entry_of(order: Order, before: Entry | None, now: datetime, reason: str) -> Entry:
    """The entry that the order makes; ``before`` is what stands there. ``reason`` stands where it gives none."""
    at = instant_text(now)
    first = before.first_published_at if before is not None else None
    if order.action == "withdraw":
        return Entry(
            order.correlation_id, order.sequence, False, "", order.order_id, at, first,
            reason=seen(order.reason or reason)[:500],
        )
    content = order.content
    return Entry(
        order.correlation_id, order.sequence, True, digest_of(order), order.order_id, at, first or at, order.kind,
        order.subject, _text(content, "party_name"), _text(content, "party_uscc", "party_registration_number"),
        _text(content, "document_number", "item_name", "title", "behaviour_number"),
    )


def _text(content: Mapping[str, Any], *names: str) -> str:
    return next((seen(content[name])[:200] for name in names if content.get(name)), "")


def to_mark(entry: Entry) -> str:
    """For the ``content`` of the mark, to be escaped like everything else."""
    return json.dumps(asdict(entry), separators=(",", ":"))


def read_mark(head: bytes) -> Entry | None:
    """The entry of a page; ``None`` if it is none of ours."""
    match = _MARK.search(head)
    if match is None:
        return None
    try:
        found = json.loads(html.unescape(match[1].decode()))
        return Entry(**{field.name: found[field.name] for field in fields(Entry)})
    except (ValueError, KeyError, TypeError):
        return None
