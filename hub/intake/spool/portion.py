"""A spool as a portion: its rows, its report, and what follows when it is finished."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta, timezone
from pathlib import Path
from typing import Any, Literal

from hub.intake.errors_file import write_errors
from hub.intake.rows import Batch, Counts, Handle, LoggedProblem, Refusal, Row, RowFault
from hub.intake.spool.file import Spool
from hub.intake.spool.values import Values

_BEIJING = timezone(timedelta(hours=8))
#: Reports in the source's own folder beyond are deleted, oldest first.
_MOST_REPORTS = 500

#: Reads some rows: their columns, the number of the first in the portion from 1, the day of the reading, and whether
#: the source says that these rows are gone.
ReadRows = Callable[[Sequence[Values], int, date, bool], Sequence[Row | RowFault]]


@dataclass(frozen=True, slots=True)
class Reports:
    """Where reports go, in which form; ``is_own`` for a folder of the hub's, in which old ones are deleted."""

    folder: Path
    form: Literal["xlsx", "csv"] = "xlsx"
    is_own: bool = True


def portion_id(spool: Spool) -> str:
    """A short name for people: the same as long as the spool is the same."""
    text = f"{spool.digest}|{spool.meta['began']}"
    return hashlib.blake2b(text.encode(), digest_size=5).hexdigest()


class SpoolPortion:
    """See ``hub.intake.Portion`` for the contract. ``settle`` is what the source does at the end (move a
    cursor, delete from an outbox, keep the spool); it must be repeatable. The spool's ``meta`` has ``name``
    and ``began`` (seconds since 1970); ``label`` is the table's name."""

    def __init__(
        self, spool: Spool, label: str, read: ReadRows, reports: Reports, settle: Callable[[Spool], None]
    ) -> None:
        self._spool = spool
        self._label = label
        self._read = read
        self._reports = reports
        self._settle = settle

    @property
    def identity(self) -> str:
        return f"{self._label}|{self._spool.digest}|{self._spool.meta['began']}"

    @property
    def name(self) -> str:
        return str(self._spool.meta["name"])

    @property
    def size(self) -> int | None:
        return self._spool.rows

    def handle(self) -> Handle:
        return Handle(self._spool.rows, (self._spool.path, self._spool.mark))

    def batches(self, rows_finished: int) -> Iterator[Batch]:
        """The rows behind the first ``rows_finished``. Raises ``InputError`` if the spool changed."""
        day, read = self._began.date(), self._read
        for batch in self._spool.batches(rows_finished):
            start = max(rows_finished - batch.first, 0)
            first, is_removed = batch.first + start + 1, batch.is_removed
            items = read(batch.rows[start:] if start else batch.rows, first, day, is_removed)
            end = batch.first + len(batch.rows)
            yield Batch(items, end, end)
        self._spool.expect_unchanged()

    def finish(self, counts: Counts, problems: Iterable[LoggedProblem]) -> None:
        """Writes the report, settles, and lets the spool go."""
        if not self._spool.path.exists():
            return  # it was finished before
        if counts.rejected or counts.warnings:
            self._report(counts, problems)
        self._settle(self._spool)
        self._spool.close()
        self._spool.path.unlink(missing_ok=True)

    def refuse(self, refusal: Refusal) -> None:
        """A spool is refused by nobody; should it be, it goes."""
        self._spool.close()
        self._spool.path.unlink(missing_ok=True)

    def close(self) -> None:
        self._spool.close()

    @property
    def _began(self) -> datetime:
        return datetime.fromtimestamp(self._spool.meta["began"], _BEIJING)

    def _report(self, counts: Counts, problems: Iterable[LoggedProblem]) -> None:
        folder = self._reports.folder
        folder.mkdir(parents=True, exist_ok=True)
        target = folder / f"{self._began:%Y%m%d-%H%M%S}-{portion_id(self._spool)}"
        number = counts.rejected_total * 20 + sum(counts.warnings.values())
        errors = write_errors(target, problems, self._reports.form, number)
        content: dict[str, Any] = {
            "table": self._label,
            "read_at": self._began.isoformat(timespec="seconds"),
            **counts.as_dict(),
            "errors_file": errors.name if errors else None,
        }
        temporary = target.with_name(f".{target.name}.tmp")
        temporary.write_text(json.dumps(content, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")
        os.replace(temporary, target.with_name(target.name + ".report.json"))
        if self._reports.is_own:
            for path in sorted(folder.iterdir())[:-_MOST_REPORTS]:
                path.unlink(missing_ok=True)
