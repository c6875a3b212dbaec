"""An event that a department handed in, with its way as far as it is that department's to see. No page, no rule."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta, timezone
from typing import Any, NamedTuple, Protocol

from hub.bus.log_reader import Position
from hub.bus.records import Record, header
from hub.contracts.codec import Schema
from hub.domain.plain import to_plain
from hub.errors import ContractError, PoisonError
from hub.intake.forms import Filled, Form
from hub.ops.ledger.queries import trace
from hub.ops.ledger.view import Ledger
from hub.ops.trace import in_order, seen_by
from hub.web.site.portal.notice import Passage, passage_of

_IDENTITY, _IDENTITY_LENGTH = "record_unique_identity", 100
_BEIJING = timezone(timedelta(hours=8))


class OwnEvent(NamedTuple):
    """``title`` is the schema's, ``type`` and ``version`` those of the latest version, ``source`` the name of the
    source. ``passages`` are oldest first."""

    event_id: str
    title: str
    type: str
    version: str
    source: str
    passages: list[Passage]
    #: Where the latest version stands on the log.
    at: Position


class Events(Protocol):
    """Raises IndexUnavailableError, BrokerError."""

    def view(self, department: str, event_id: str) -> OwnEvent | None:
        """``None`` where the department handed in no such event, or the ledger has not read it yet."""

    def filled(self, found: OwnEvent, form: Form) -> Filled | None:
        """The latest version as its form holds it, personal data and all; ``None`` where it cannot be had, or its
        number is not the whole of it."""


class LedgerEvents:
    """Events out of the ledger. ``sources`` are the names of each department's sources."""

    def __init__(self, ledger: Ledger, sources: Mapping[str, frozenset[str]]) -> None:
        self._ledger, self._sources = ledger, sources

    def view(self, department: str, event_id: str) -> OwnEvent | None:
        steps = trace(self._ledger, event_id).steps
        routed = frozenset(self._ledger.map.routed_topics())
        told = [each for each in steps if each.topic in routed]
        # A clock whose term expired is an event too, of the hub's own.
        records = self._ledger.reader.fetch([Position(each.topic, each.partition, each.offset) for each in told])
        own = {place: record for place, record in records.items() if self._is_own(department, record)}
        mine = [each for each in told if Position(each.topic, each.partition, each.offset) in own]
        if not mine:
            return None
        last = in_order(mine)[-1]
        place = Position(last.topic, last.partition, last.offset)
        code = self._ledger.code_of(department)
        subscriptions = {
            name for name, model in self._ledger.map.subscriptions.items() if model.department == department
        }
        seen = list(seen_by(steps, code, subscriptions))
        # What is public may be told to whoever handed it in.
        public = [each for each in steps if each.topic.startswith("disclosure.receipts.")]
        shown = {(each.topic, each.partition, each.offset): each for each in [*mine, *seen, *public]}
        passages = [passage_of(each, self._ledger.map.clocks) for each in in_order(shown.values())]
        headers = own[place].headers
        return OwnEvent(
            last.id, self._schema(own[place]), last.type, _said(headers, "ce_sequence") or "1",
            _said(headers, "ce_source").removeprefix("/sources/"), passages, place,
        )

    def filled(self, found: OwnEvent, form: Form) -> Filled | None:
        record = self._ledger.reader.fetch([found.at]).get(found.at)
        if record is None or record.value is None:
            return None
        try:
            return filled_of(self._ledger.catalog.decode(record.value)[1], form)
        except (ContractError, PoisonError):
            return None

    def _is_own(self, department: str, record: Record) -> bool:
        uri = _said(record.headers, "ce_source")
        return uri.startswith("/sources/") and uri.removeprefix("/sources/") in self._sources.get(department, ())

    def _schema(self, record: Record) -> str:
        try:
            schema: Schema = self._ledger.catalog.decode(record.value or b"")[0]
        except (ContractError, PoisonError):
            return record.topic
        return str(schema.definition["title"])


def filled_of(value: Mapping[str, Any], form: Form) -> Filled | None:
    """What a record holds as its form has it; ``None`` where its number is not the whole of it."""
    number = str(value.get(_IDENTITY) or "")
    if not number or (len(number) == _IDENTITY_LENGTH and "~" in number):
        return None
    plain = to_plain(dict(value))
    assert isinstance(plain, dict)
    return Filled(number, {
        field.name: _typed(plain[field.name], field.kind) for field in form.fields if plain.get(field.name) is not None
    })


def _said(headers: Any, name: str) -> str:
    return (header(headers, name) or b"").decode()


def _typed(value: Any, kind: str) -> Any:
    """A value of JSON as a browser's form has it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Mapping):
        return {name: _typed(each, "text") for name, each in value.items() if each is not None}
    if isinstance(value, list):
        items = [_typed(each, "text") for each in value]
        return "\n".join(items) if kind == "texts" else items
    if kind == "moment":
        moment = datetime.fromisoformat(str(value).replace("Z", "+00:00"))
        return moment.replace(tzinfo=moment.tzinfo or UTC).astimezone(_BEIJING).isoformat("T", "minutes")[:16]
    return str(value)
