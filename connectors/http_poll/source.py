"""The source: what an interface has that is new, spooled and told."""

from __future__ import annotations

from itertools import islice
from pathlib import Path

from connectors.http_poll.page import read_page
from connectors.http_poll.reading import Reading
from connectors.http_poll.records import RecordColumns, RecordRows
from connectors.http_poll.settings import HttpPollSettings
from hub.intake import ContractError, InfrastructureError, InputError, RowFault, SourceContext
from hub.intake.mapping import load_mapping
from hub.intake.spool import ReadRows, Reports, Spool, SpooledSource

#: Mappings that the connector brings along.
MAPPINGS = Path(__file__).parent / "mappings"
#: Records that ``check`` tries.
_TRIED = 200


class HttpPoll(SpooledSource):
    """Asks an interface for what is new. See ``hub.intake.Source`` for the contract.

    In its folder: ``portion.spool`` is read and not finished yet, ``cursor.db`` is how far it was read.
    """

    Settings = HttpPollSettings

    def __init__(self, context: SourceContext) -> None:
        settings = context.config.settings
        assert isinstance(settings, HttpPollSettings)
        self._settings = settings
        reports = Reports(settings.reports or context.folder / "reports", settings.errors, settings.reports is None)
        mapping = load_mapping(settings.mapping, MAPPINGS)
        super().__init__(context, mapping, settings.label, reports, settings.every_seconds)
        self._reading = Reading(settings, mapping, context.folder)

    def take(self, path: Path) -> bool:
        """See ``Reading``."""
        try:
            return self._reading.take(path)
        finally:
            self.has_more, self.pause = self._reading.has_more, self._reading.pause

    def settle(self, spool: Spool) -> None:
        """Moves the cursor."""
        self._reading.settle(spool)

    def row_reader(self, spool: Spool) -> ReadRows:
        if spool.meta["mapping"] != self.mapping.model_dump_json():
            raise ContractError("the mapping was changed")
        return RecordRows(self.mapping, spool.meta["columns"], self.context, self._settings.label).read

    def check(self) -> list[str]:
        """The first page, and its records; nothing is published or kept."""
        columns = RecordColumns(self.mapping)
        try:
            page = read_page(self._reading.api.get(self._settings.start), self._settings)
            lines = [columns.line(record)[0] for record in islice(page.records, _TRIED)]
            rows = RecordRows(self.mapping, columns.names(), self.context, self._settings.label)
            read = rows.read_tried([self.load(line) for line in lines], 1)
        except (InfrastructureError, ContractError, InputError) as error:
            return [str(error)]
        finally:
            self.close()
        faults = [item for item in read if isinstance(item, RowFault)]
        found = [
            f"第 {fault.place.row} 条 / record {fault.place.row}: "
            + "；".join(f"{problem.column or problem.field or ''}: {problem.problem}" for problem in fault.problems[:5])
            for fault in faults[:5]
        ]
        if faults:
            count = len(read)
            found.append(f"前 {count} 条中 {len(faults)} 条不能接收 / of the first {count} records {len(faults)} fail")
        return found

    def close(self) -> None:
        self._reading.close()
