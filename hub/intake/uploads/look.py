"""A look at an uploaded file before it is handed in: what would become of each row. Nothing is published or stored.

It goes the way of the engine (``hub.intake.engine``) without its end: the same reader, the same identities, the same
checks of the schema. What a register of enterprises or another source's fact would make of a row is known only when
it is read in earnest; such rows count as new or changed here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

import structlog

from hub.errors import ContractError, HubError, IndexUnavailableError, InputError
from hub.intake.problem_log import ProblemLog
from hub.intake.rows import LoggedProblem, Portion, Refusal, RowFault
from hub.intake.versions import EventWriter, Identified, unfit_row, utc_now
from hub.state.seen_index import SeenRow

#: The last version of each row by its key; raises IndexUnavailableError.
Peek = Callable[[Sequence[bytes]], list[SeenRow | None]]
#: Told how far it is: done, of a total that may be unknown.
Told = Callable[[int, int | None], object]
_log = structlog.get_logger()


@dataclass(slots=True)
class Look:
    """``read == new + changed + repeated + rejected`` where ``status`` is ``read``; ``rejected`` and ``warnings`` by
    problem code, ``problems`` how many there are of both. ``refused``: the whole file cannot be taken, and why, for a
    clerk. ``is_compared``: what is known of the rows could be asked; else all of them count as new."""

    status: Literal["read", "refused"] = "read"
    new: int = 0
    changed: int = 0
    repeated: int = 0
    read: int = 0
    skipped: int = 0
    rejected: int = 0
    problems: int = 0
    warned: int = 0
    is_compared: bool = True
    refusal: dict[str, str] = field(default_factory=dict)

    @property
    def good(self) -> int:
        """Rows that would become an event."""
        return self.new + self.changed

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


class Looker:
    """Looks at files of one source. ``asks_register``: a row without a code of its enterprise is no fault of the
    schema's, for the register is asked."""

    def __init__(self, writer: EventWriter, peek: Peek, *, asks_register: bool = False) -> None:
        self._writer, self._peek, self._asks_register = writer, peek, asks_register

    def look(self, portion: Portion, log: ProblemLog, told: Told = lambda done, total: None) -> Look:
        """Reads the portion to its end and closes it; problems go to ``log``.

        A file that is none is a Look that says so. Whatever else goes wrong with it is a refusal too, and logged.
        """
        found = Look()
        try:
            self._read(portion, log, found, told)
        except Refusal as refusal:
            found = _refused(refusal)
        except (HubError, OSError, ValueError) as error:
            _log.warning("an uploaded file could not be looked at", portion=portion.name, error=type(error).__name__)
            found = _refused(Refusal(
                "unreadable", "系统未能读取此文件。请重新导出，或另存为 .xlsx 后再上传。",
                "The hub could not read this file. Export it anew, or save it as .xlsx.",
            ))
        finally:
            portion.close()
        return found

    def _read(self, portion: Portion, log: ProblemLog, found: Look, told: Told) -> None:
        log.resume(0)
        #: What the file itself said before: of the same row twice the second is a repeat, or a change.
        digests: dict[bytes, bytes] = {}
        for batch in portion.batches(0):
            items = self._writer.identify_all(batch.items)
            known = self._known([each.key for each in items if isinstance(each, Identified)], found) | digests
            logged: list[LoggedProblem] = []
            for item in items:
                fault = item if isinstance(item, RowFault) else self._take(item, known, digests, found, logged)
                if fault is not None:
                    found.rejected += 1
                    logged += [LoggedProblem(fault.place, problem, True) for problem in fault.problems]
            found.problems += len(logged)
            found.read, found.skipped = batch.rows_read, batch.skipped
            log.append(logged)
            told(batch.done, portion.size)

    def _known(self, keys: list[bytes], found: Look) -> dict[bytes, bytes]:
        if not found.is_compared:
            return {}
        try:
            rows = self._peek(keys)
        except IndexUnavailableError:
            found.is_compared = False
            return {}
        return {key: row.digest for key, row in zip(keys, rows, strict=True) if row is not None}

    def _take(
        self, item: Identified, known: dict[bytes, bytes], digests: dict[bytes, bytes], found: Look,
        logged: list[LoggedProblem],
    ) -> RowFault | None:
        if item.row.warnings:
            found.warned += 1
            logged += [LoggedProblem(item.row.place, problem, False) for problem in item.row.warnings]
        before = known.get(item.key)
        if before == item.digest:
            found.repeated += 1
            return None
        if not self._asks_register:
            try:
                self._writer.event(item, None, utc_now())
            except (ContractError, InputError) as error:
                return unfit_row(item.row, error)
        if before is None:
            found.new += 1
        else:
            found.changed += 1
        known[item.key] = digests[item.key] = item.digest
        return None


def _refused(refusal: Refusal) -> Look:
    told = {"code": refusal.code, "problem": refusal.chinese, "problem_en": refusal.english}
    return Look("refused", refusal=told)
