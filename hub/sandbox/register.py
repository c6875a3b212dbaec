"""What the disclosure system keeps: records by channel and entity, and every order ever carried out.

    unknown ──publish, amend──▶ public ──publish, amend──▶ public (replaced)
       │                         │  ▲
       │                withdraw │  │ publish, amend: of a later version only
       │                         ▼  │
       └──────withdraw──────▶ withdrawn

An order of an older version than the kept one changes nothing, in either state.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from hub.domain.events import derive_id
from hub.domain.plain import instant_text
from hub.sandbox.store import like_pattern, open_database, transaction

#: The stand-in answers for both public channels, each with records of its own.
CHANNELS = {"gsxt": "国家企业信用信息公示系统（甘肃）", "creditchina": "信用中国（甘肃）"}
Action = Literal["publish", "amend", "withdraw"]
MAX_ROWS = 500

_SCHEMA = """
CREATE TABLE IF NOT EXISTS record (
    channel TEXT NOT NULL, correlation_id TEXT NOT NULL, subject TEXT NOT NULL, kind TEXT NOT NULL,
    sequence INTEGER NOT NULL, is_public INTEGER NOT NULL, party_name TEXT NOT NULL,
    content TEXT, reference TEXT NOT NULL, first_published_at TEXT, updated_at TEXT NOT NULL,
    publish_until TEXT, withdrawn_because TEXT,
    PRIMARY KEY (channel, correlation_id)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS record_by_subject ON record (subject, channel);
CREATE TABLE IF NOT EXISTS carried_out (
    order_id TEXT PRIMARY KEY, channel TEXT NOT NULL, status TEXT NOT NULL, receipt TEXT NOT NULL,
    repeats INTEGER NOT NULL DEFAULT 0
) WITHOUT ROWID;
-- Without a key: this is how one would see that an order had been published twice.
CREATE TABLE IF NOT EXISTS publication (order_id TEXT NOT NULL, at TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS refusal (order_id TEXT NOT NULL, reason TEXT NOT NULL, at TEXT NOT NULL);
"""


@dataclass(frozen=True, slots=True)
class Order:
    """One order as it came in. ``content`` is plain JSON, ``sequence`` the version of the record."""

    order_id: str
    correlation_id: str
    channel: str
    action: Action
    sequence: int
    kind: str
    subject: str
    content: dict[str, Any]
    reason: str | None = None
    publish_until: str | None = None
    is_reissued: bool = False


class Register:
    """Not thread-safe: one event loop. Each call is one transaction."""

    def __init__(self, path: Path) -> None:
        self._database = open_database(path, _SCHEMA)
        known = {row["name"] for row in self._database.execute("PRAGMA table_info(record)")}
        for column in ("publish_until", "withdrawn_because"):  # a file of before they were kept
            if column not in known:
                self._database.execute(f"ALTER TABLE record ADD COLUMN {column} TEXT")

    def close(self) -> None:
        self._database.close()

    def carry_out(self, order: Order) -> tuple[dict[str, Any], bool]:
        """The receipt of ``order`` and whether it is the order's first; a repeat gets the same one."""
        with transaction(self._database):
            known = self._database.execute(
                "UPDATE carried_out SET repeats = repeats + 1 WHERE order_id = ? RETURNING receipt",
                (order.order_id,),
            ).fetchone()
            if known is not None:
                return json.loads(known["receipt"]), False
            now = instant_text(datetime.now(UTC))
            status, reference = self._change(order, now)
            receipt = {"public_reference": reference, "status": status, "received_at": now}
            self._database.execute(
                "INSERT INTO carried_out (order_id, channel, status, receipt) VALUES (?, ?, ?, ?)",
                (order.order_id, order.channel, status, json.dumps(receipt)),
            )
        return receipt, True

    def _change(self, order: Order, now: str) -> tuple[str, str | None]:
        """Status and public reference after the order; the reference is ``None`` if nothing is public."""
        row = self._database.execute(
            "SELECT * FROM record WHERE channel = ? AND correlation_id = ?", _key(order)
        ).fetchone()
        is_public = row is not None and bool(row["is_public"])
        reference = row["reference"] if is_public else None
        if row is not None and order.sequence < row["sequence"]:
            return "unchanged", reference
        if order.action == "withdraw":
            # Kept as a mark without content: a publication of an older version may still be on its way.
            self._keep(order, row, now, is_public=False)
            return ("withdrawn" if is_public else "unchanged"), None
        is_same_version = row is not None and order.sequence == row["sequence"]
        # The same version again, through another rule: what was withdrawn at it stays withdrawn, unless a person asks.
        if is_same_version and not (order.is_reissued and not is_public) and (
            not is_public or json.loads(row["content"]) == order.content
        ):
            return "unchanged", reference
        reference = self._keep(order, row, now, is_public=True)
        self._database.execute("INSERT INTO publication VALUES (?, ?)", (order.order_id, now))
        return ("replaced" if is_public else "published"), reference

    def _keep(self, order: Order, row: sqlite3.Row | None, now: str, *, is_public: bool) -> str:
        reference = f"{order.channel.upper()}-{derive_id(*_key(order)).replace('-', '')[:16].upper()}"
        first = row["first_published_at"] if row is not None else None
        self._database.execute(
            "INSERT OR REPLACE INTO record VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                *_key(order), order.subject, order.kind, order.sequence, is_public,
                str(order.content.get("party_name") or "") if is_public else "",
                json.dumps(order.content, ensure_ascii=False) if is_public else None,
                reference, first or (now if is_public else None), now,
                order.publish_until if is_public else None, None if is_public else order.reason,
            ),
        )
        return reference

    def note_refusal(self, order_id: str, reason: str) -> None:
        """Counts a refused order; its content is not kept."""
        self._database.execute(
            "INSERT INTO refusal VALUES (?, ?, ?)", (order_id, reason, instant_text(datetime.now(UTC)))
        )

    def knows(self, order_id: str) -> bool:
        """Whether the order was carried out before."""
        return self._number("SELECT count(*) FROM carried_out WHERE order_id = ?", order_id) > 0

    def publications_of(self, order_id: str) -> int:
        """How often an order made something public."""
        return self._number("SELECT count(*) FROM publication WHERE order_id = ?", order_id)

    def find(self, channel: str, correlation_id: str) -> dict[str, Any] | None:
        """One record, public or withdrawn."""
        row = self._database.execute(
            "SELECT * FROM record WHERE channel = ? AND correlation_id = ?", (channel, correlation_id)
        ).fetchone()
        return None if row is None else _to_record(row)

    def records(self, subject: str | None = None, channel: str | None = None) -> list[dict[str, Any]]:
        """Public records, the newest first, at most MAX_ROWS."""
        rows = self._database.execute(
            "SELECT * FROM record WHERE is_public AND (?1 IS NULL OR subject = ?1) "
            "AND (?2 IS NULL OR channel = ?2) ORDER BY updated_at DESC, correlation_id LIMIT ?3",
            (subject, channel, MAX_ROWS),
        )
        return [_to_record(row) for row in rows]

    def publications(self, channel: str, after: str, limit: int) -> list[dict[str, Any]]:
        """What is public on a channel, by the entity's id, from the one behind ``after`` on; without content."""
        rows = self._database.execute(
            "SELECT correlation_id, sequence, subject, reference, updated_at FROM record WHERE is_public "
            "AND channel = ? AND correlation_id > ? ORDER BY correlation_id LIMIT ?", (channel, after, limit),
        )
        return [dict(row) for row in rows]

    def search(self, text: str, channel: str, limit: int = 50) -> Sequence[sqlite3.Row]:
        """Enterprises with something public: subject, party_name, count; by code or part of the name."""
        return self._database.execute(
            "SELECT subject, max(party_name) AS party_name, count(*) AS count, max(updated_at) AS updated_at "
            "FROM record WHERE is_public AND channel = ?1 AND (?2 = '' OR subject = upper(?2) "
            "OR party_name LIKE ?3 ESCAPE '!') GROUP BY subject ORDER BY updated_at DESC, subject LIMIT ?4",
            (channel, text, like_pattern(text), limit),
        ).fetchall()

    def counts(self, channel: str) -> dict[str, int]:
        """Public records of a channel by kind."""
        rows = self._database.execute(
            "SELECT kind, count(*) FROM record WHERE is_public AND channel = ? GROUP BY kind ORDER BY kind",
            (channel,),
        )
        return {kind: count for kind, count in rows}

    def stats(self) -> dict[str, int]:
        """What happened since the data folder was made, over all channels.

        ``requests`` counts orders that reached the register, with repeats and refusals.
        """
        statuses = ("published", "replaced", "withdrawn", "unchanged")
        found = dict.fromkeys(statuses, 0)
        orders = repeats = repeated = 0
        for status, count, again, orders_again in self._database.execute(
            "SELECT status, count(*), sum(repeats), sum(repeats > 0) FROM carried_out GROUP BY status"
        ):
            found[status] = count
            orders, repeats, repeated = orders + count, repeats + again, repeated + orders_again
        refused = self._number("SELECT count(*) FROM refusal")
        return {
            **found,
            "refused": refused,
            "currently_public": self._number("SELECT count(*) FROM record WHERE is_public"),
            "requests": orders + repeats + refused,
            "repeated_orders": repeated,
            "max_publications_per_order": self._number(
                "SELECT max(n) FROM (SELECT count(*) AS n FROM publication GROUP BY order_id)"
            ),
        }

    def _number(self, query: str, *given: str) -> int:
        return int(self._database.execute(query, given).fetchone()[0] or 0)


def _key(order: Order) -> tuple[str, str]:
    return order.channel, order.correlation_id


def _to_record(row: sqlite3.Row) -> dict[str, Any]:
    record = {name: row[name] for name in row.keys() if name not in ("content", "is_public")}  # noqa: SIM118 (a Row iterates over values)
    record["status"] = "public" if row["is_public"] else "withdrawn"
    record["content"] = json.loads(row["content"]) if row["content"] else None
    return record
