"""What a department keeps: every notice, its answer, and whether the hub has taken the answer.

    pending ──▶ answered     the hub said 2xx
       │  ▲──┐ no answer, 5xx, 408, 425, 429, or a 401, 403, 404 that may pass
       └──▶ refused          the hub refused it for good
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from hub.domain.plain import instant_text
from hub.sandbox.store import open_database, transaction

MAX_ROWS = 500

# Notice and answer are one row, so that there is never the one without the other.
_SCHEMA = """
CREATE TABLE IF NOT EXISTS notice (
    number INTEGER PRIMARY KEY, webhook_id TEXT NOT NULL UNIQUE, notice_id TEXT NOT NULL,
    event_type TEXT NOT NULL, subject TEXT NOT NULL, sequence INTEGER NOT NULL, party_name TEXT NOT NULL,
    data TEXT NOT NULL, received_at TEXT NOT NULL, repeats INTEGER NOT NULL DEFAULT 0,
    status TEXT NOT NULL, feedback_id TEXT NOT NULL, feedback TEXT NOT NULL,
    state TEXT NOT NULL DEFAULT 'pending', attempts INTEGER NOT NULL DEFAULT 0,
    due_at REAL NOT NULL DEFAULT 0, http_status INTEGER, finished_at TEXT
);
CREATE INDEX IF NOT EXISTS notice_by_subject ON notice (subject);
CREATE INDEX IF NOT EXISTS notice_pending ON notice (due_at, number) WHERE state = 'pending';
"""


@dataclass(frozen=True, slots=True)
class Pending:
    """An answer on its way. ``feedback`` is the body, the same bytes on every attempt."""

    number: int
    feedback_id: str
    feedback: str
    attempts: int


class NoticeBook:
    """Not thread-safe: one event loop. Each call is one transaction; times are seconds since 1970."""

    def __init__(self, path: Path) -> None:
        self._database = open_database(path, _SCHEMA)

    def close(self) -> None:
        self._database.close()

    def is_repeat(self, webhook_id: str) -> bool:
        """Whether the notice is here already; counts the repeat if so."""
        changed = self._database.execute(
            "UPDATE notice SET repeats = repeats + 1 WHERE webhook_id = ?", (webhook_id,)
        )
        return changed.rowcount > 0

    def add(
        self, webhook_id: str, data: Mapping[str, Any], feedback_id: str, feedback: Mapping[str, Any]
    ) -> None:
        """Keeps a notice together with its answer, which is pending from now."""
        record = data.get("record")
        name = record.get("party_name") if isinstance(record, dict) else None
        self._database.execute(
            "INSERT INTO notice (webhook_id, notice_id, event_type, subject, sequence, party_name, data,"
            " received_at, status, feedback_id, feedback) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                webhook_id, data["notice_id"], data["event_type"], data["subject"], data["sequence"],
                str(name or ""), json.dumps(data, ensure_ascii=False), instant_text(datetime.now(UTC)),
                feedback["status"], feedback_id, json.dumps(feedback, ensure_ascii=False),
            ),
        )

    def due(self, now: float, limit: int) -> list[Pending]:
        """Pending answers whose time has come, the longest waiting first."""
        rows = self._database.execute(
            "SELECT number, feedback_id, feedback, attempts FROM notice"
            " WHERE state = 'pending' AND due_at <= ? ORDER BY due_at, number LIMIT ?",
            (now, limit),
        )
        return [Pending(*row) for row in rows]

    def next_due_at(self) -> float | None:
        """When the next pending answer is due; ``None`` if there is none."""
        found = self._database.execute("SELECT min(due_at) FROM notice WHERE state = 'pending'").fetchone()[0]
        return None if found is None else float(found)

    def finish(self, finished: Sequence[tuple[Pending, str, int]]) -> None:
        """Notes ``(answer, "answered" | "refused", HTTP status)``."""
        now = instant_text(datetime.now(UTC))
        with transaction(self._database):
            self._database.executemany(
                "UPDATE notice SET state = ?, http_status = ?, finished_at = ?, attempts = attempts + 1"
                " WHERE number = ?",
                [(state, status, now, item.number) for item, state, status in finished],
            )

    def postpone(self, postponed: Sequence[tuple[Pending, float, int | None]]) -> None:
        """Notes ``(answer, when it is due again, HTTP status if there was one)``."""
        with transaction(self._database):
            self._database.executemany(
                "UPDATE notice SET due_at = ?, http_status = ?, attempts = attempts + 1 WHERE number = ?",
                [(due_at, status, item.number) for item, due_at, status in postponed],
            )

    def notices(self, subject: str | None = None) -> list[dict[str, Any]]:
        """Notices with their answers, the newest first, at most MAX_ROWS."""
        rows = self._database.execute(
            "SELECT webhook_id, notice_id, event_type, subject, party_name, received_at, repeats, state,"
            " attempts, http_status, finished_at, data, feedback FROM notice"
            " WHERE ?1 IS NULL OR subject = ?1 ORDER BY number DESC LIMIT ?2",
            (subject, MAX_ROWS),
        )
        return [
            {**dict(row), "data": json.loads(row["data"]), "feedback": json.loads(row["feedback"])}
            for row in rows
        ]

    def stats(self) -> dict[str, Any]:
        """Notices, repeats, and answers by state and by status."""
        notices, repeats = self._database.execute(
            "SELECT count(*), coalesce(sum(repeats), 0) FROM notice"
        ).fetchone()
        states = dict(self._database.execute("SELECT state, count(*) FROM notice GROUP BY state").fetchall())
        answers = self._database.execute("SELECT status, count(*) FROM notice GROUP BY status ORDER BY status")
        return {
            "notices": notices,
            "repeats": repeats,
            **{state: states.get(state, 0) for state in ("answered", "pending", "refused")},
            "answers": dict(answers.fetchall()),
        }
