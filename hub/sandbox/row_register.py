"""What a stand-in keeps that takes rows with ``cd_operation`` (信用中国, the provincial system): rows by record.

    unknown ──i, u──▶ shown ──i, u──▶ shown          d ──▶ gone (the row stays as a mark, without content)

It knows no versions, as those systems know none: order is the sender's work. It does know a row by its ``cd_id``: the
same one again gets the same answer and changes nothing.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from hub.domain.events import derive_id
from hub.domain.plain import instant_text
from hub.sandbox.store import open_database, transaction

_SCHEMA = """
CREATE TABLE IF NOT EXISTS row (
    record_id TEXT PRIMARY KEY, is_shown INTEGER NOT NULL, content TEXT, cd_id TEXT NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS answer (
    cd_id TEXT PRIMARY KEY, batch TEXT NOT NULL, reason TEXT, reference TEXT NOT NULL, at TEXT NOT NULL,
    repeats INTEGER NOT NULL DEFAULT 0
) WITHOUT ROWID;
-- Without a key: this is how one would see that a row had been carried out twice.
CREATE TABLE IF NOT EXISTS publication (cd_id TEXT NOT NULL, batch TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS batch (number TEXT PRIMARY KEY, digest TEXT NOT NULL, at INTEGER) WITHOUT ROWID;
"""


@dataclass(frozen=True, slots=True)
class RowResult:
    """The answer to a row; ``reason`` is why it was refused."""

    cd_id: str
    reason: str | None
    reference: str
    at: str


class RowRegister:
    """Not thread-safe: whoever answers uses it alone."""

    def __init__(self, path: Path) -> None:
        self._database = open_database(path, _SCHEMA)

    def close(self) -> None:
        self._database.close()

    @contextmanager
    def whole(self) -> Iterator[None]:
        """All rows of a batch or none."""
        with transaction(self._database):
            yield

    def carry_out(
        self, batch: str, envelope: Mapping[str, str], content: Mapping[str, object], refusal: str | None
    ) -> RowResult:
        """Within ``whole``."""
        cd_id, record = envelope["cd_id"], envelope["record_unique_identity"]
        known = self._database.execute(
            "UPDATE answer SET repeats = repeats + 1 WHERE cd_id = ? RETURNING reason, reference, at", (cd_id,)
        ).fetchone()
        if known is not None:
            return RowResult(cd_id, known["reason"], known["reference"], known["at"])
        found = RowResult(
            cd_id, refusal, f"ROW-{derive_id(record)[:13].upper()}", instant_text(datetime.now(UTC))
        )
        if refusal is None:
            is_shown = envelope["cd_operation"] != "d"
            self._database.execute(
                "INSERT OR REPLACE INTO row VALUES (?, ?, ?, ?)",
                (record, is_shown, json.dumps(dict(content), ensure_ascii=False) if is_shown else None, cd_id),
            )
            if is_shown:
                self._database.execute("INSERT INTO publication VALUES (?, ?)", (cd_id, batch))
            # A refused row may come again: it is judged anew.
            self._database.execute(
                "INSERT INTO answer (cd_id, batch, reason, reference, at) VALUES (?, ?, NULL, ?, ?)",
                (cd_id, batch, found.reference, found.at),
            )
        return found

    def note_batch(self, number: str, digest: str) -> str | None:
        """Takes a batch number into the book; what is wrong with it if it was another batch's. Within ``whole``."""
        known = self._database.execute("SELECT digest FROM batch WHERE number = ?", (number,)).fetchone()
        if known is not None:
            return None if known["digest"] == digest else f"batch {number} came before with other rows"
        self._database.execute(
            "INSERT INTO batch VALUES (?, ?, (SELECT count(*) FROM batch))", (number, digest)
        )
        return None

    def shown(self) -> dict[str, dict[str, object]]:
        """Record -> content of everything that is shown."""
        rows = self._database.execute("SELECT record_id, content FROM row WHERE is_shown ORDER BY record_id")
        return {row["record_id"]: json.loads(row["content"]) for row in rows}

    def gone(self) -> set[str]:
        return {row["record_id"] for row in self._database.execute("SELECT record_id FROM row WHERE NOT is_shown")}

    def publications_of(self, cd_id: str) -> int:
        """How often a row was made public."""
        return int(self._database.execute("SELECT count(*) FROM publication WHERE cd_id = ?", (cd_id,)).fetchone()[0])

    def most_publications(self) -> int:
        """Of any row; 1 is as it should be."""
        found = self._database.execute("SELECT max(n) FROM (SELECT count(*) AS n FROM publication GROUP BY cd_id)")
        return int(found.fetchone()[0] or 0)

    def stats(self) -> dict[str, int]:
        """What it counts, in the words of the disclosure system's stand-in."""
        counts = dict(self._database.execute("SELECT is_shown, count(*) FROM row GROUP BY is_shown").fetchall())
        return {
            "currently_public": counts.get(1, 0), "gone": counts.get(0, 0),
            "max_publications_per_order": self.most_publications(), "batches": len(self.batches()),
        }

    def batches(self) -> list[str]:
        """Numbers in the order in which they first came."""
        return [row["number"] for row in self._database.execute("SELECT number FROM batch ORDER BY at")]
