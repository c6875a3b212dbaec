"""A department's interface that is polled, and sources on it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from connectors.http_poll.source import HttpPoll
from hub.intake import Counts, Row, RowFault, SourceConfig
from hub.intake.build import source_context
from hub.sandbox.faults import FaultPlan, Faults
from hub.sandbox.open_interface import PATH, Feed, create_open_interface
from tests.support_intake import catalog
from tests.support_served import served

TOKEN = "a-word-of-the-tests"
#: Each way in which the interface tells the next page.
PAGING: dict[str, dict[str, Any]] = {
    "cursor": {"paging": "cursor", "next_cursor": "paging.next"},
    "sync": {"paging": "cursor", "next_cursor": "paging.sync", "has_more": "paging.has_more"},
    "record": {"paging": "record", "record_cursor": "sequence"},
    "link": {"paging": "link"},
}


class OpenInterface(NamedTuple):
    """It runs; ``root`` is its address, ``feed`` what it has, ``plan`` what it does wrong."""

    root: str
    feed: Feed
    plan: FaultPlan

    def reset(self) -> None:
        """As it was in the beginning, but that sequences go on."""
        self.feed.clear()
        self.plan.set(Faults())

    def settings(self, paging: str = "sync", **more: Any) -> dict[str, Any]:
        """For an entry of ``sources.yaml``."""
        return {
            "url": self.root + PATH, "mapping": "inspection-results", "records": "data.items", "token": TOKEN,
            "page_size": 1000, "page_size_parameter": "limit", "every_seconds": 0.001, **PAGING[paging], **more,
        }  # fmt: skip


@contextlib.contextmanager
def open_interface() -> Iterator[OpenInterface]:
    feed, plan = Feed(), FaultPlan()
    with served(create_open_interface(TOKEN, plan, feed)) as root:
        yield OpenInterface(root, feed, plan)


def at(root: str, paging: str = "sync", **more: Any) -> dict[str, Any]:
    """Settings for whatever answers there."""
    return OpenInterface(root, Feed(), FaultPlan()).settings(paging, **more)


def record(number: int, **more: Any) -> dict[str, Any]:
    """An inspection result as the interface has it; ``party`` and ``remark`` among what may be said otherwise."""
    return {
        "number": f"JC{number:06d}",
        "party": {
            "name": more.pop("party", "合作市雪域牦牛乳业有限责任公司"), "code": "91623000739699913A",
            "legal_representative": "扎西东智",
        },
        "item": {"name": "年报公示信息检查"}, "inspectors": [{"name": "才让卓玛"}, {"name": "王实验"}],
        "checked_on": "2026-03-01", "results": ["未发现问题"], "is_public": True, "remark": None, **more,
    }  # fmt: skip


def http_config(entry: dict[str, Any], name: str = "hezuo-interface") -> SourceConfig:
    return SourceConfig.of({
        "name": name, "connector": "http-poll", "department_code": "11623000013999917X",
        "department_name": "甘南州市场监督管理局", "region_code": "623000",
        **{name: value for name, value in entry.items() if value is not None},
    })  # fmt: skip


def open_http(entry: dict[str, Any], data: Path) -> HttpPoll:
    return HttpPoll(source_context(http_config(entry), catalog(), data))


def drain(source: HttpPoll, *, is_finished: bool = True) -> list[Row | RowFault]:
    """Every item of every portion that there is now; finished unless told otherwise. Closes the source."""
    items: list[Row | RowFault] = []
    try:
        for portion in source.portions():
            for batch in portion.batches(0):
                items += batch.items
            if is_finished:
                portion.finish(Counts(read=len(items)), iter(()))
            portion.close()
            if not is_finished:
                break
    finally:
        source.close()
    return items
