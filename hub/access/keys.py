"""Keys of departments' programs, as events on a compacted topic.

``access.keys.v1``, keyed by the key's id. A key is shown once; its digest is all that is kept. Keys of sources
(``hubk_``) and tokens of subscriptions (``hubt_``) are other things, of intake and of delivery.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from hub.access.accounts import START
from hub.access.refusal import RefusalError
from hub.access.revision_log import RevisionCodec
from hub.contracts.catalog import Catalog
from hub.domain.events import derive_id
from hub.domain.plain import whole_millis
from hub.domain.rights import KEY_SCOPES, LEAD_AGENCY, WIDE_SCOPES

KEYS_TOPIC, KEYS_SCHEMA = "access.keys.v1", "hub/access-key"
EVENT = "access.key.changed"
#: A key that nobody has to renew is a key that nobody knows of any more.
MOST_DAYS, USUAL_DAYS = 730, 365
_PREFIX = "huba_"


@dataclass(frozen=True, slots=True)
class ApiKey:
    """One key: whose it is, what it is for, until when."""

    key_id: str
    revision: int = 0
    title: str = ""
    department: str = ""
    scopes: tuple[str, ...] = ()
    digest: str = field(default="", repr=False)
    created_at: datetime = START
    expires_at: datetime = START
    is_revoked: bool = False
    changed_by: str = ""
    reason: str = ""
    changed_at: datetime = START

    def opens_at(self, now: datetime) -> bool:
        return not self.is_revoked and now < self.expires_at

    def revoked(self) -> ApiKey:
        if self.is_revoked:
            raise RefusalError("key-ended", name=self.key_id)
        return replace(self, is_revoked=True)


class NewKey(NamedTuple):
    """``text`` is what is shown once."""

    key: ApiKey
    text: str


def new_key(title: str, department: str, scopes: Iterable[str], days: int, now: datetime) -> NewKey:
    """Raises RefusalError for scopes that there are not or that are not for this department, or a key without an end.
    """
    given = tuple(sorted(set(scopes)))
    for scope in given:
        if scope not in KEY_SCOPES:
            raise RefusalError("key-scope", scope=scope, known=", ".join(KEY_SCOPES))
        if scope in WIDE_SCOPES and department != LEAD_AGENCY:
            raise RefusalError("key-scope-wide", scope=scope, department=LEAD_AGENCY)
    if not 1 <= days <= MOST_DAYS:
        raise RefusalError("key-expiry", most=MOST_DAYS)
    text = f"{_PREFIX}{secrets.token_urlsafe(32)}"
    digest = digest_of(text)
    made = ApiKey(
        derive_id("access-key", digest), title=title.strip(), department=department, scopes=given, digest=digest,
        created_at=whole_millis(now), expires_at=whole_millis(now + timedelta(days=days)),
    )
    return NewKey(made, text)


def digest_of(text: str) -> str:
    """What is kept of a key. It is random and long: a plain digest tells nothing of it."""
    return hashlib.sha256(text.encode()).hexdigest()


class ApiKeysLog(RevisionCodec[ApiKey]):
    """Writes and reads the records of the topic."""

    def __init__(self, catalog: Catalog) -> None:
        super().__init__(catalog, KEYS_TOPIC, KEYS_SCHEMA, EVENT, lambda key: key.key_id)

    def from_value(self, value: dict[str, Any]) -> ApiKey:
        return ApiKey(**value | {"scopes": tuple(value["scopes"])})
