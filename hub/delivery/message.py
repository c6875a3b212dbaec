"""An inbox record as the webhook that a department gets, and as the entry of the notice index."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from hub.bus.records import Record
from hub.contracts.catalog import Catalog
from hub.delivery.replays import as_replayed, is_replay, mark_of
from hub.domain.plain import instant_text, to_json
from hub.domain.recall import effect_of
from hub.errors import ContractError, PoisonError
from hub.state.notice_index import Notice

INBOX_SCHEMA = "hub/inbox-record"


def read_inbox(record: Record, catalog: Catalog, subscription: str | None = None) -> dict[str, Any]:
    """The fields of an inbox record, which is ``subscription``'s if that is given; of a replay those of its notice
    under the replay's own id, with ``replay_of`` and ``replay_request``.

    Raises PoisonError or ContractError.
    """
    if record.value is None:
        raise PoisonError("a notice without a value")
    schema, notice = catalog.decode(record.value)
    if schema.name != INBOX_SCHEMA:
        raise ContractError(f"an inbox holds notices, not {schema.name}")
    if subscription not in (None, notice["subscription"]):
        raise ContractError(f"a notice for {notice['subscription']!r} in the inbox of {subscription!r}")
    mark = mark_of(record)
    return notice if mark is None else as_replayed(notice, mark)


def to_body(notice: Mapping[str, Any], catalog: Catalog) -> bytes:
    """``{type, timestamp, data}`` of Standard Webhooks; the same bytes on every attempt.

    ``data.record`` holds what the subscription's view holds and nothing else. A replay says so in ``data.replay``;
    its ``notice_id`` is that of the notice, which is what answers are about. Raises
    ContractError if the record was not written in the view that the notice names.
    """
    schema, content = catalog.decode(notice["data"])
    if schema.view != notice["view"]:
        raise ContractError(
            f"the notice names view {notice['view']!r} and carries {schema.view!r} of {schema.name}"
        )
    issued_at = instant_text(notice["issued_at"])
    return to_json({
        "type": notice["event_type"],
        "timestamp": issued_at,
        "data": {
            "notice_id": notice.get("replay_of", notice["notice_id"]),
            "event_id": notice["event_id"],
            "event_type": notice["event_type"],
            "correlation_id": notice["correlation_id"],
            "subject": notice["subject"],
            "subscription": notice["subscription"],
            "view": notice["view"],
            "action": action_of(notice),
            "expected_measures": notice["expected_measures"],
            "legal_basis": notice["legal_basis"],
            "issued_at": issued_at,
            "sequence": notice["sequence"],
            "record": content,
            **({"replay": {"request_id": notice["replay_request"]}} if is_replay(notice) else {}),
        },
    })


def to_notice(notice: Mapping[str, Any]) -> Notice:
    """What the index keeps of an inbox record."""
    return Notice(
        notice_id=notice["notice_id"],
        event_id=notice["event_id"],
        event_type=notice["event_type"],
        correlation_id=notice["correlation_id"],
        subject=notice["subject"],
        subscription=notice["subscription"],
        department_code=notice["department_code"],
        expected_measures=tuple(notice["expected_measures"]),
        issued_at=notice["issued_at"],
        action=action_of(notice),
    )


def action_of(notice: Mapping[str, Any]) -> str:
    """What a notice asks for: apply, amend or lift. The first version of its schema left that to the event's type."""
    return str(notice.get("action") or effect_of(notice["event_type"]))


def read_notices(records: Iterable[Record], catalog: Catalog) -> Iterator[Notice]:
    """Index entries of inbox records, for ``NoticeIndex.rebuild``.

    Records that cannot be read are passed over: delivery could not have sent them either.
    """
    for record in records:
        try:
            yield to_notice(read_inbox(record, catalog))
        except (PoisonError, ContractError):
            continue
