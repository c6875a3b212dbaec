"""What the questions to the ledger are asked of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from hub.bus.log_reader import LogReader
from hub.contracts.catalog import Catalog
from hub.contracts.map import HubMap
from hub.domain.calendar import Calendar
from hub.errors import UsageError
from hub.ops.ledger.log_scan import LogScan
from hub.state.desk_index import DeskIndex
from hub.state.ledger_index import LedgerIndex


@dataclass(frozen=True)
class Ledger:
    """Index, desks and log together. Safe to share between threads; ``close`` ends its connections to Kafka."""

    index: LedgerIndex
    desks: DeskIndex
    reader: LogReader
    scan: LogScan
    catalog: Catalog
    map: HubMap
    calendars: Mapping[str, Calendar]

    def code_of(self, department: str) -> str:
        """The code of a department of the map, by id or code. Raises UsageError for any other."""
        for id, entry in self.map.departments.items():
            if department in (id, str(entry["code"])):
                return str(entry["code"])
        raise UsageError(f"There is no department {department!r}: an id or a code of reference/departments.yaml.")

    def title_of(self, code: str | None) -> str | None:
        """The name of a department by its code; ``None`` for one that the map does not have."""
        names = (str(entry["name"]) for entry in self.map.departments.values() if str(entry["code"]) == code)
        return next(names, None)

    def close(self) -> None:
        self.reader.close()
