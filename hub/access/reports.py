"""What the lead agency is told of: who answers for a department has changed (报备).

“分管领导和管理员如有变动请及时向同级牵头单位报备” (plan of 2021, 三(一)1(1)). ``access.reports.v1``, compacted,
keyed by the report. A report is a function of the revision of the account that it is of: made twice it is the same.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from hub.access.accounts import START, Account
from hub.access.refusal import RefusalError
from hub.access.revision_log import RevisionCodec
from hub.contracts.catalog import Catalog
from hub.domain.events import derive_id

REPORTS_TOPIC, REPORTS_SCHEMA = "access.reports.v1", "hub/access-report"
EVENT = "access.report.changed"


@dataclass(frozen=True, slots=True)
class Report:
    """One change that was reported. ``changes`` as of the account (``+leader``); ``made_by``, ``made_reason`` and
    ``made_at`` are of the change, ``changed_…`` of this revision. ``acknowledged_by`` is who took note."""

    report_id: str
    revision: int = 0
    department: str = ""
    account: str = ""
    display_name: str = ""
    changes: tuple[str, ...] = ()
    made_by: str = ""
    made_reason: str = ""
    made_at: datetime = START
    acknowledged_by: str | None = None
    changed_by: str = ""
    reason: str = ""
    changed_at: datetime = START

    @property
    def is_open(self) -> bool:
        return self.acknowledged_by is None

    def acknowledged(self, by: str) -> Report:
        """Raises RefusalError if somebody took note before."""
        if not self.is_open:
            raise RefusalError("report-done", name=self.report_id)
        return replace(self, acknowledged_by=by)


def report_of(account: Account) -> Report | None:
    """The report that this revision of an account makes due, as it first stands on the log; ``None`` if none."""
    if not account.reportable:
        return None
    return Report(
        report_id_of(account), 1, account.department, account.name, account.display_name, account.reportable,
        account.changed_by, account.reason, account.changed_at, None, account.changed_by, account.reason,
        account.changed_at,
    )


def report_id_of(account: Account) -> str:
    return derive_id("access-report", account.name, str(account.revision))


class ReportsLog(RevisionCodec[Report]):
    """Writes and reads the records of the topic."""

    def __init__(self, catalog: Catalog) -> None:
        super().__init__(catalog, REPORTS_TOPIC, REPORTS_SCHEMA, EVENT, lambda report: report.report_id)

    def from_value(self, value: dict[str, Any]) -> Report:
        return Report(**value | {"changes": tuple(value["changes"])})
