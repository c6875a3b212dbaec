"""How a department receives: what changes by a click and is not in the map, as events on a compacted topic.

``subscription.settings.v1``, one partition, keyed by subscription: the last record of a key is in force, and
all of them are the record of who changed what and why.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from hub.bus.records import Output
from hub.contracts.catalog import Catalog
from hub.contracts.cloudevents import to_headers
from hub.domain.events import Envelope, derive_id, new_traceparent
from hub.domain.plain import whole_millis
from hub.domain.vault import Vault
from hub.domain.webhook import parse_secret
from hub.domain.webhook_keys import KeyKind, new_secret
from hub.errors import ContractError

SETTINGS_TOPIC = "subscription.settings.v1"
SETTINGS_SCHEMA = "hub/subscription-settings"
EVENT = "subscription.settings.changed"
#: Who is on record for what the hub did by itself.
HUB = "hub"
_START, _LAST = datetime(1970, 1, 1, tzinfo=UTC), datetime(9999, 1, 1, tzinfo=UTC)


class SealedKey(NamedTuple):
    """One signing key. ``retires_at`` is when it signs no more; times are aware UTC."""

    key_id: str
    kind: KeyKind
    sealed: bytes
    public: str | None
    created_at: datetime
    retires_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class SubscriptionSettings:
    """The settings of one subscription. Keys: the newest first; two while one is rotated.

    ``disabled_reason`` is why the hub itself stopped (an endpoint that said 410); ``is_paused`` is a person's
    wish. ``office_hours`` as ``08:30-12:00,14:30-18:00``.
    """

    subscription: str
    revision: int = 0
    url: str | None = field(default=None, repr=False)
    is_verified: bool = False
    is_paused: bool = False
    disabled_reason: str | None = None
    rate_per_minute: int | None = None
    office_hours: str | None = None
    contact: str | None = None
    keys: tuple[SealedKey, ...] = ()
    token_digest: str | None = field(default=None, repr=False)
    receiver_keys: tuple[str, ...] = ()
    changed_by: str = ""
    reason: str = ""
    changed_at: datetime = _START

    def secrets(self, vault: Vault, now: datetime) -> list[str]:
        """The secrets that sign now, the newest first. Raises ContractError if the vault cannot open them."""
        return [
            vault.open(key.sealed, _place(self.subscription, key.key_id))
            for key in self.keys if key.retires_at is None or key.retires_at > now
        ]

    def with_key(
        self, text: str, vault: Vault, now: datetime, *, keep: timedelta | None = None
    ) -> SubscriptionSettings:
        """``text``, a secret as it is written, signs first; those before it sign beside it for ``keep``, or without
        it until a person retires them.

        Raises InputError for a text that is no secret.
        """
        key, key_id = parse_secret(text), derive_id("key", self.subscription, hashlib.sha256(text.encode()).hexdigest())
        new = SealedKey(
            key_id, key.kind, vault.seal(text, _place(self.subscription, key_id)), key.public, whole_millis(now)
        )
        old = tuple(
            each if keep is None else each._replace(retires_at=min(each.retires_at or _LAST, whole_millis(now + keep)))
            for each in self.keys
            if each.key_id != key_id and (each.retires_at is None or each.retires_at > now)
        )
        return replace(self, keys=(new, *old))

    def disabled(self, reason: str, now: datetime) -> SubscriptionSettings:
        """What the hub itself puts into force when an endpoint says that it is no more."""
        return replace(
            self, revision=self.revision + 1, disabled_reason=reason, changed_by=HUB, reason=reason,
            changed_at=whole_millis(now),
        )

    def opens_with(self, token: str) -> bool:
        """Whether ``token`` is this subscription's."""
        return self.token_digest is not None and hmac.compare_digest(self.token_digest, digest_of(token))

    def why_blocked(self, *, is_pushed: bool = True) -> str | None:
        """Why nothing goes out at all, whatever the time of day; ``None`` if it may."""
        if self.disabled_reason is not None:
            return self.disabled_reason
        if self.is_paused:
            return "paused by a person"
        if is_pushed and self.url is None:
            return "no address is set"
        if is_pushed and not self.is_verified:
            return "who listens at the address has not agreed yet"
        return None if self.keys else "no key signs"


def new_key(kind: KeyKind) -> str:
    return new_secret(kind)


def new_token() -> str:
    """A token for pulling and for the settings' API, told from other secrets by its beginning."""
    return f"hubt_{secrets.token_urlsafe(32)}"


def digest_of(token: str) -> str:
    """What is kept of a token. It is random and long: a plain digest tells nothing of it."""
    return hashlib.sha256(token.encode()).hexdigest()


def shown_url(url: str) -> str:
    """``url`` without user, password and query, which may hold secrets."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"[:500]


class SettingsLog:
    """Writes and reads the records of the topic."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        self._schema = catalog.schema(SETTINGS_SCHEMA)

    def entry(self, settings: SubscriptionSettings) -> Output:
        """The record that puts ``settings`` into force."""
        value: dict[str, Any] = {name: getattr(settings, name) for name in settings.__slots__}
        value["keys"] = [key._asdict() for key in settings.keys]
        value["receiver_keys"] = list(settings.receiver_keys)
        name = settings.subscription
        id = derive_id("settings", name, str(settings.revision), settings.changed_at.isoformat(), settings.changed_by)
        envelope = Envelope(
            id=id, source="/operators", type=EVENT, subject=name, time=settings.changed_at,
            correlation_id=derive_id("settings", name), traceparent=new_traceparent(id), sequence=settings.revision,
        )
        return Output(SETTINGS_TOPIC, name.encode(), self._schema.encode(value), to_headers(envelope), 0)

    def read(self, value: bytes | None) -> SubscriptionSettings:
        """Raises ContractError or PoisonError for a record that is none of settings."""
        if value is None:
            raise ContractError("settings without a value")
        schema, found = self._catalog.decode(value)
        if schema.name != SETTINGS_SCHEMA:
            raise ContractError(f"{SETTINGS_TOPIC} holds settings, not {schema.name}")
        keys = tuple(SealedKey(**key) for key in found.pop("keys"))
        return SubscriptionSettings(**found | {"keys": keys, "receiver_keys": tuple(found["receiver_keys"])})


def _place(subscription: str, key_id: str) -> str:
    return f"{subscription}/{key_id}"
