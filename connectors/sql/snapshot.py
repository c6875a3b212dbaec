"""The whole table, compared with the last time: what is new, what has changed, what is gone."""

from __future__ import annotations

import hashlib
import sqlite3
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from connectors.sql.claims import Claim, Claims
from connectors.sql.settings import SqlSettings
from connectors.sql.table import Table, stream
from hub.intake import TableReading, local_date
from hub.intake.mapping import RowReader
from hub.intake.spool import BATCH_ROWS, Spool, SpoolWriter, dump, dump_all, loader, replace


class Difference(NamedTuple):
    """Rows of the new snapshot and of the last one; ``before`` is 0 where there is none."""

    rows: int
    before: int
    added: int
    changed: int
    removed: int
    unreadable: int


class Snapshot:
    """See ``Mode`` in ``source.py``. The last snapshot stays as ``last.spool`` until the next is finished.

    A row is known by the natural key of its mapping, worked out of the columns behind it: so a row that
    has become faulty elsewhere is not taken for one that is gone.
    """

    is_guarded = True
    has_more = False

    def __init__(self, table: Table, folder: Path, claims: Claims, now: Callable[[], float] = time.time) -> None:
        self._table = table
        self._claims = claims
        #: What was counted, for whoever compares it; the latest where nobody does.
        self.readings = deque[TableReading](maxlen=100)
        self._settings = table.settings
        self._last = folder / "last.spool"
        self._now = now
        self._load = loader(table.settings.encoding, table.settings.time_zone)
        # Read otherwise, the same rows may give other events: then all are gone through.
        self._fingerprint = hashlib.blake2b(table.mapping.model_dump_json().encode(), digest_size=8).hexdigest()
        self._last_fingerprint = ""
        self._last_claim: tuple[Claim | None, int] = (None, 0)

    def take(self, path: Path) -> bool:
        """Reads the table into a spool, with what is gone behind it; false where the table is as it was and no
        manifest says otherwise."""
        began = self._now()
        writer = SpoolWriter(path)
        try:
            names = self._table.names
            reader = self._table.reader(names)
            statement, _ = self._table.select()
            with self._table.database.reading() as connection:
                for rows in stream(connection, statement):
                    self._add(writer, reader, dump_all(rows))
            difference = self._compare(writer, names)
            claim = self._claims.at(began)
            # A difference that somebody has let through is not asked about again, as long as both numbers stay.
            is_confirmed = claim is not None and self._last_claim == (claim, difference.rows)
            is_odd = claim is not None and claim.rows != difference.rows and not is_confirmed
            name = f"{self._settings.label} {time.strftime('%Y-%m-%d %H:%M:%S', time.localtime(began))}"
            is_known = difference.before > 0 and self._fingerprint == self._last_fingerprint
            is_same = is_known and not any((difference.added, difference.changed, difference.removed,
                                            difference.unreadable))  # fmt: skip
            is_nothing = is_same or not (difference.before or difference.rows)
            self._count(name, began, writer.digest, difference.rows, claim if is_nothing else None)
            if is_nothing and not is_odd:
                self._claims.settled()
                return False
            writer.finish(
                columns=names, began=began, difference=difference._asdict(), mapping=self._fingerprint, name=name,
                claim=claim, is_claim_confirmed=is_confirmed,
            )  # fmt: skip
            return True
        finally:
            writer.drop()

    def reasons_to_hold(self, spool: Spool) -> list[str]:
        """Why a person has to look first; empty where nothing is out of bounds."""
        return reasons(Difference(**spool.meta["difference"]), self._settings, self.odd_claim(spool))

    def odd_claim(self, spool: Spool) -> Claim | None:
        """What a manifest says otherwise than the snapshot, where nobody has let the difference through."""
        claim = _claim_of(spool)
        is_odd = claim is not None and claim.rows != spool.meta["difference"]["rows"]
        return claim if is_odd and not spool.meta["is_claim_confirmed"] else None

    def telling(self, spool: Spool) -> None:
        """Nothing: what comes next is read when it is finished."""

    def finish(self, spool: Spool) -> None:
        """This snapshot is the last one from now on."""
        if spool.path.exists():
            spool.close()
            replace(spool.path, self._last)
            self._claims.settled()

    def check(self) -> list[str]:
        """Nothing beyond the table itself."""
        return []

    def close(self) -> None:
        """Nothing is held open."""

    def _add(self, writer: SpoolWriter, reader: RowReader, lines: Sequence[bytes]) -> None:
        keys = [_key(reader.natural_key(self._load(line))) for line in lines]
        writer.add(lines, keys=keys)

    def _count(self, name: str, began: float, digest: str, rows: int, claim: Claim | None) -> None:
        """Notes what the table had; with a ``claim`` nothing of it is new."""
        at = datetime.fromtimestamp(began, UTC)
        is_vouched = claim == (local_date(at).isoformat(), rows)
        self.readings.append(TableReading(f"{digest}|{began}", name, rows, at, is_vouched))

    def _compare(self, writer: SpoolWriter, names: list[str]) -> Difference:
        rows, database = writer.rows, writer.database
        database.execute("CREATE INDEX row_by_key ON row (key, digest)")
        unread = _one(database, "SELECT count(*) FROM row WHERE key IS NULL")
        last = self._open_last()
        self._last_fingerprint = last.meta["mapping"] if last else ""
        self._last_claim = (_claim_of(last), int(last.meta["difference"]["rows"])) if last else (None, 0)
        if last is None:
            return Difference(rows, 0, rows, 0, 0, 0)
        try:
            database.execute("COMMIT")
            database.execute("ATTACH ? AS old", (f"{self._last.resolve().as_uri()}?mode=ro",))
            database.execute("BEGIN")
            before = int(last.meta["difference"]["rows"])
            # Of a key that stands twice each form counts by itself.
            changed = _one(
                database,
                "SELECT count(*) FROM row n WHERE key IN (SELECT key FROM old.row)"
                " AND NOT EXISTS (SELECT 1 FROM old.row o WHERE o.key = n.key AND o.digest = n.digest)",
            )
            added = _one(
                database, "SELECT count(*) FROM row WHERE key IS NOT NULL AND key NOT IN"
                " (SELECT key FROM old.row WHERE key IS NOT NULL)",
            )  # fmt: skip
            new_unread = _one(
                database, "SELECT count(*) FROM row WHERE key IS NULL AND digest NOT IN"
                " (SELECT digest FROM old.row WHERE key IS NULL)",
            ) if unread else 0  # fmt: skip
            removed = 0
            if self._settings.removed == "tell":
                for lines in self._removed(database, last, names):
                    removed += len(lines)
                    writer.add(lines, is_removed=True)
            return Difference(rows, before, added, changed, removed, new_unread)
        finally:
            last.close()

    def _removed(self, database: sqlite3.Connection, last: Spool, names: list[str]) -> Iterator[list[bytes]]:
        """The last form of each row that is gone, its columns in the order of today."""
        old_names = last.meta["columns"]
        order = [old_names.index(name) if name in old_names else -1 for name in names]
        found = database.execute(
            "SELECT max(at) FROM old.row WHERE key IS NOT NULL AND key NOT IN"
            " (SELECT key FROM row WHERE key IS NOT NULL) GROUP BY key ORDER BY 1"
        )
        lines: list[bytes] = []
        for (at,) in found:
            row = last.line_at(at)
            lines.append(dump([row[place] if place >= 0 else None for place in order]))
            if len(lines) == BATCH_ROWS:
                yield lines
                lines = []
        if lines:
            yield lines

    def _open_last(self) -> Spool | None:
        return Spool(self._last, self._load) if self._last.exists() else None


def reasons(found: Difference, bounds: SqlSettings, claim: Claim | None = None) -> list[str]:
    """Which bounds a snapshot goes beyond, and what a manifest says otherwise, for people: Chinese first."""
    said = []
    if claim is not None and claim.rows != found.rows:
        said.append(
            f"{claim.day} 的清单为 {claim.rows} 行，快照读到 {found.rows} 行 / "
            f"the manifest of {claim.day} says {claim.rows} rows, the snapshot has {found.rows}"
        )
    if not found.before:
        return said
    if not found.rows:
        said.append(f"快照为空，上次有 {found.before} 行 / the snapshot is empty, the last one had {found.before} rows")
    for what, english, count, most, share in (
        ("消失", "gone", found.removed, bounds.max_removed, bounds.max_removed_share),
        ("修改", "changed", found.changed, bounds.max_changed, bounds.max_changed_share),
    ):
        if count > most:
            said.append(f"{what} {count} 行，上限 {most} 行 / {count} rows {english}, the bound is {most}")
        if count > share * found.before:
            said.append(
                f"{what} {count} 行，占 {count / found.before:.0%}，上限 {share:.0%} / "
                f"{count / found.before:.0%} of the rows {english}, the bound is {share:.0%}"
            )
    if found.unreadable and found.removed:
        said.append(
            f"{found.unreadable} 行无法识别编号，消失的行可能在其中 / {found.unreadable} rows have no readable key; "
            "what is gone may be among them"
        )
    return said


def _claim_of(spool: Spool) -> Claim | None:
    claim = spool.meta.get("claim")  # a spool of an earlier build has none
    return Claim(*claim) if claim is not None else None


def _key(natural_key: str | None) -> bytes | None:
    if natural_key is None:
        return None
    return hashlib.blake2b(natural_key.encode("utf-8", "replace"), digest_size=16).digest()


def _one(database: sqlite3.Connection, statement: str) -> int:
    return int(database.execute(statement).fetchone()[0])


__all__ = ["Difference", "Snapshot", "reasons"]
