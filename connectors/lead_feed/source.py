"""The source: portions of the feed, each spooled first; the way back up for what becomes of its tasks."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from datetime import date
from pathlib import Path

import structlog

from connectors.lead_feed.client import FeedClient
from connectors.lead_feed.pages import Read, Task, read_pages
from connectors.lead_feed.settings import LeadFeedSettings
from connectors.lead_feed.task import AT, COLUMNS, content_digest
from connectors.lead_feed.wire import STATUSES, answer_exchange, read_receipt
from hub.intake import (
    ContractError,
    InputError,
    Place,
    Problem,
    Row,
    RowFault,
    SourceConfig,
    SourceContext,
    mask_personal,
)
from hub.intake.mapping import RowReader, layout_of, load_mapping
from hub.intake.spool import ReadRows, Reports, Spool, SpooledSource, SpoolWriter, Values, dump, write_json
from hub.uplink import Exchange, LeadAnswer, Receipt, Uplink

#: Mappings that the connector brings along.
MAPPINGS = Path(__file__).parent / "mappings"
#: Longer numbers of tasks are shown by their beginning.
_MAX_NUMBER = 100
#: Stands between the number of a task and its status where a refusal is no reason to give the task back.
_UNDER_WAY = "　"
_log = structlog.get_logger()


class LeadFeed(SpooledSource):
    """Reads the national lead feed. See ``hub.intake.Source`` for the contract.

    In its folder: ``portion.spool`` is read and not finished yet, ``cursor.json`` says up to which number the feed
    was told. Lost, the feed is read anew from its beginning, and its tasks are known again.
    """

    Settings = LeadFeedSettings

    def __init__(self, context: SourceContext) -> None:
        settings = context.config.settings
        assert isinstance(settings, LeadFeedSettings)
        reports = Reports(context.folder / "reports", settings.errors)
        mapping = load_mapping(settings.mapping, MAPPINGS)
        super().__init__(context, mapping, context.config.name, reports, settings.every_seconds, encoding="utf-8")
        self._settings = settings
        self._reader = RowReader(layout_of(mapping, COLUMNS), context)
        self._region = _prefix_of(context.config.region_code)
        self._client = FeedClient(settings, context.config.region_code)
        self._cursor = context.folder / "cursor.json"

    @staticmethod
    def make_uplink(config: SourceConfig) -> Uplink:
        """The way back up to the platform of a source."""
        return LeadFeedUplink(config)

    def check(self) -> list[str]:
        """Address, token, and the first page behind what was told; nothing is published or kept."""
        try:
            read = next(read_pages(self._client, self._settings, self._after()))
        except (InputError, ContractError) as error:
            return [str(error)]
        rows = [self._row(_line(task), number) for number, task in enumerate(read.tasks, 1)]
        faults = [item for item in rows if isinstance(item, RowFault)]
        told = [
            f"{fault.place.sheet or f'第 {fault.place.row} 个任务'}: {fault.problems[0].problem}"
            for fault in faults[:5]
        ]
        if faults:
            told.append(
                f"前 {len(rows)} 个任务中 {len(faults)} 个不能接收 / of the first {len(rows)} tasks {len(faults)} fail"
            )
        return told

    def _after(self) -> int:
        try:
            found = json.loads(self._cursor.read_text(encoding="utf-8"))
            return int(found["after"]) if found["url"] == self._settings.url else 0
        except FileNotFoundError:
            return 0
        except (OSError, ValueError, KeyError, TypeError) as error:
            _log.warning("cursor is damaged; the feed is read anew", source=self.name, error=type(error).__name__)
            return 0

    def take(self, path: Path) -> bool:
        """Reads at most about ``portion_tasks`` into a spool; false if there is nothing new."""
        began, after = time.time(), self._after()
        writer = SpoolWriter(path)
        try:
            read = Read([], after, False)
            for read in read_pages(self._client, self._settings, after):
                writer.add([dump(_line(task)) for task in read.tasks])
                if writer.rows >= self._settings.portion_tasks:
                    break
            self.has_more = read.has_more
            if not writer.rows:
                if read.next != after:
                    self._advance(read.next)
                return False
            name = f"{self.name} {time.strftime('%Y-%m-%d %H:%M:%S', time.localtime(began))}"
            writer.finish(name=name, began=began, columns=COLUMNS, next=read.next)
            return True
        finally:
            writer.drop()

    def settle(self, spool: Spool) -> None:
        """The feed is told up to there."""
        self._advance(int(spool.meta["next"]))

    def row_reader(self, spool: Spool) -> ReadRows:
        if spool.meta.get("columns") != list(COLUMNS):
            raise InputError("the spool is of another version of the connector")

        def read(rows: Sequence[Values], first: int, day: date, is_removed: bool) -> Sequence[Row | RowFault]:
            return [self._row(row, number) for number, row in enumerate(rows, first)]

        return read

    def _advance(self, after: int) -> None:
        write_json(self._cursor, {"url": self._settings.url, "after": after})

    def _row(self, line: Values, number: int) -> Row | RowFault:
        """The task as a row. A fault stands under the number of its task, by which it goes back up."""
        fault, *values = line
        place = Place(self.name, _place_of(values[AT["taskNo"]], values[AT["status"]]), number)
        if fault is not None:
            column, code, problem, remedy = fault
            return RowFault(place, (Problem(code, column, None, None, problem, remedy),), content_digest(values))
        region = values[AT["unionRegionCode"]]
        if region and region.isdecimal() and not region.startswith(self._region):
            return RowFault(place, (self._elsewhere(values, region),), content_digest(values))
        found = self._reader.read_values(values, place)
        if isinstance(found, RowFault):
            return RowFault(place, (_as_one(found.problems),), content_digest(values))
        return found

    def _elsewhere(self, values: Sequence[str | None], region: str) -> Problem:
        name = values[AT["unionRegionName"]] or ""
        return Problem(
            "jurisdiction", "unionRegionCode", "region_code", mask_personal(region[:20]),
            mask_personal(f"任务不属于本辖区：{region[:20]} {name[:50]}".strip()),
            f"请改派至该地区；本枢纽只接收行政区划代码以 {self._region} 开头的任务",
        )  # fmt: skip


class LeadFeedUplink:
    """See ``hub.uplink.Uplink`` for the contract."""

    def __init__(self, config: SourceConfig) -> None:
        assert isinstance(config.settings, LeadFeedSettings)
        self._settings = config.settings
        self.source = config.name
        self.task_prefix = config.settings.task_prefix

    def returned_task(self, place: str | None) -> str | None:
        return place if place and _UNDER_WAY not in place else None

    def exchange(self, answer: LeadAnswer) -> Exchange:
        return answer_exchange(self._settings.url, self._settings.secret("token"), answer)

    def receipt(self, status: int, body: bytes, answer: LeadAnswer) -> Receipt:
        return read_receipt(status, body, answer)


def _line(task: Task) -> Values:
    return [list(task.fault) if task.fault is not None else None, *task.values]


def _place_of(task_no: str | None, status: str | None) -> str | None:
    """Where a fault stands. A task that somebody is at already is not given back for a faulty word about it."""
    if not task_no:
        return None
    shown = "".join(task_no.split())[:_MAX_NUMBER]
    return f"{shown}{_UNDER_WAY}{status}" if status in STATUSES.values() else shown


def _prefix_of(region: str) -> str:
    """What the codes of a region and all that is within it begin with (GB/T 2260)."""
    while region.endswith("00") and len(region) > 2:
        region = region[:-2]
    return region


def _as_one(problems: Sequence[Problem]) -> Problem:
    """All that is wrong with a task in one: it goes back up as one answer."""
    if len(problems) == 1:
        return problems[0]
    told = "；".join(f"{problem.column or problem.field}：{problem.problem}" for problem in problems)
    remedies = "；".join(dict.fromkeys(problem.remedy for problem in problems))
    first = problems[0]
    return Problem(first.code, first.column, first.field, None, told, remedies)
