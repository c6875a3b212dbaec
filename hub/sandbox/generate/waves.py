"""When which department hands in which file: the calendar of the demo season."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date, timedelta
from itertools import accumulate, pairwise
from typing import Literal

from hub.sandbox.generate.departments import GANNAN_MARKET, GANNAN_TOURISM, HEZUO_MARKET, Department

#: ``burst`` lists many enterprises at once; ``serious`` lists seriously unlawful ones; ``removals``
#: mostly removes what earlier files listed; the others are ``plain``.
Flavour = Literal["plain", "burst", "serious", "removals"]


@dataclass(frozen=True, slots=True)
class Wave:
    """One file: handed in on ``day``, ``share`` thousandths of all rows, facts ``since`` to ``until``."""

    day: date
    by: Department
    kind: str
    title: str
    form: str
    share: int
    since: date
    until: date
    flavour: Flavour = "plain"
    is_traced: bool = False

    @property
    def file_name(self) -> str:
        """Begins with the day, so that the order of names is the order of arrival."""
        return f"{self.day}-{self.title}.{'xlsx' if self.form == 'xlsx' else 'csv'}"


def _wave(
    day: str,
    by: Department,
    title: str,
    form: str,
    share: int,
    days: str,
    flavour: Flavour = "plain",
    *,
    is_traced: bool = False,
) -> Wave:
    since, until = (date.fromisoformat(f"2026-{text}") for text in days.split(" "))
    kind = _KINDS[title]
    return Wave(
        date.fromisoformat(f"2026-{day}"), by, kind, title, form, share, since, until, flavour, is_traced
    )


_KINDS = {
    "抽查检查结果": "inspection-results",
    "行政处罚": "penalties",
    "投诉举报线索": "complaint-leads",
    "经营异常名录": "blacklist-notices",
    "严重违法失信名单": "blacklist-notices",
    "名录移出": "blacklist-notices",
}
_H, _M, _T = HEZUO_MARKET, GANNAN_MARKET, GANNAN_TOURISM
#: In the order of arrival. The annual reports are due on 30 June: who missed it is listed in one go.
WAVES: tuple[Wave, ...] = (
    _wave("05-29", _H, "抽查检查结果", "csv-utf-8-bom", 60, "05-12 05-27", is_traced=True),
    _wave("06-05", _M, "行政处罚", "xlsx", 40, "05-06 06-03"),
    _wave("06-08", _T, "抽查检查结果", "csv-gb18030", 30, "05-12 06-05"),
    _wave("06-12", _H, "投诉举报线索", "xlsx", 40, "05-18 06-10"),
    _wave("06-12", _M, "严重违法失信名单", "xlsx", 15, "05-11 06-10", "serious"),
    _wave("06-15", _H, "抽查检查结果", "xlsx", 80, "05-28 06-12"),
    _wave("06-15", _M, "抽查检查结果", "csv-utf-8-bom", 50, "05-18 06-12"),
    _wave("06-18", _H, "行政处罚", "csv-utf-8", 50, "05-06 06-16", is_traced=True),
    _wave("06-25", _T, "投诉举报线索", "csv-utf-8", 15, "05-25 06-23"),
    _wave("07-03", _H, "经营异常名录", "csv-gb18030", 250, "07-01 07-02", "burst", is_traced=True),
    _wave("07-08", _H, "投诉举报线索", "csv-gb18030", 50, "06-11 07-06"),
    _wave("07-10", _H, "行政处罚", "csv-gb18030", 60, "06-17 07-08"),
    _wave("07-13", _M, "行政处罚", "csv-gb18030", 35, "06-04 07-10"),
    _wave("07-15", _T, "投诉举报线索", "xlsx", 15, "06-24 07-13"),
    _wave("07-17", _H, "抽查检查结果", "csv-utf-8", 40, "06-15 07-15"),
    _wave("07-20", _M, "抽查检查结果", "xlsx", 25, "06-15 07-17"),
    _wave("07-22", _H, "投诉举报线索", "xlsx", 45, "07-07 07-20"),
    _wave("07-24", _H, "名录移出", "xlsx", 60, "07-13 07-22", "removals", is_traced=True),
    _wave("07-27", _M, "经营异常名录", "csv-utf-8-bom", 20, "07-06 07-24"),
    _wave("07-29", _T, "抽查检查结果", "csv-utf-8-bom", 20, "06-09 07-27"),
)


#: The day of the last file.
SEASON_END = WAVES[-1].day


def shifted(wave: Wave, by: timedelta) -> Wave:
    """The wave with all its days moved."""
    return replace(wave, day=wave.day + by, since=wave.since + by, until=wave.until + by)


def row_counts(size: int) -> list[int]:
    """Rows of each wave; they add up to ``size``."""
    whole = sum(wave.share for wave in WAVES)
    marks = [0, *(round(size * share / whole) for share in accumulate(wave.share for wave in WAVES))]
    return [after - before for before, after in pairwise(marks)]
