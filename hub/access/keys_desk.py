"""Where keys of departments' programs are made and ended."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from datetime import datetime

from hub.access.keys import ApiKey, NewKey, new_key
from hub.access.record import Acts
from hub.access.refusal import RefusalError
from hub.bus.revision_desk import RevisionDesk
from hub.domain.acts import Actor


class ApiKeysDesk:
    """All methods block, and raise RefusalError for what is refused and BrokerError for what could not be written."""

    def __init__(
        self, keys: RevisionDesk[ApiKey], departments: Collection[str], acts: Acts, now: Callable[[], datetime]
    ) -> None:
        self._keys, self._departments, self._acts, self._now = keys, departments, acts, now

    def create(
        self, title: str, department: str, scopes: Iterable[str], days: int, *, actor: Actor, reason: str
    ) -> NewKey:
        """A key; its text is shown once and kept nowhere."""
        if department not in self._departments:
            raise RefusalError("department-unknown", department=department)
        if not reason.strip():
            raise RefusalError("reason-missing")
        key, text = new_key(title, department, scopes, days, self._now())
        details = [("department", department), ("scopes", ",".join(key.scopes))]
        with self._acts.acting("access.key.create", actor, key.key_id, reason, details=details):
            made = self._keys.change(key.key_id, lambda current: key, by=actor.name, reason=reason)
        return NewKey(made, text)

    def revoke(self, key_id: str, *, actor: Actor, reason: str) -> ApiKey:
        """Ends a key, named by its id or the beginning of it."""
        if not reason.strip():
            raise RefusalError("reason-missing")
        found = [key for key in self.keys() if key.key_id.startswith(key_id)]
        if len(found) != 1 or not key_id:
            raise RefusalError("key-unknown", name=key_id)
        name = found[0].key_id
        found[0].revoked()

        def change(current: ApiKey | None) -> ApiKey:
            if current is None:
                raise RefusalError("key-unknown", name=name)
            return current.revoked()

        with self._acts.acting("access.key.revoke", actor, name, reason):
            return self._keys.change(name, change, by=actor.name, reason=reason)

    def keys(self) -> list[ApiKey]:
        """All of them, by department. Raises BrokerError."""
        return sorted(self._keys.read().values(), key=lambda each: (each.department, each.created_at))
