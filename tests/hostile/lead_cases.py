"""Tasks of the national feed, which come as XML: one hostile document between two good ones."""

from __future__ import annotations

from collections.abc import Callable

from hub.sandbox.national_book import task_xml
from tests.hostile.registry import case
from tests.hostile.rows import PERSONAL
from tests.hostile.workbook_cases import DOCTYPE, OUTSIDE, PARAMETER
from tests.support_contracts import IDENTITY_NUMBER
from tests.support_lead_feed import blocks


def _task(name: str, make: Callable[[], str], prolog: str = "") -> None:
    """The generator gives what stands before the page's XML, and the task."""

    @case(name)
    def generate() -> tuple[str, str]:
        return prolog, make()


def _named(text: str) -> str:
    return f"<task><taskInfo><taskNo>{text}</taskNo><taskName>{PERSONAL}</taskName></taskInfo></task>"


def _changed(block: str, name: str, text: str) -> str:
    return task_xml(blocks(5, {(block, name): text, ("taskInfo", "inspectClaim"): PERSONAL}))


_task("lead-laughs", lambda: _named("&l9;"), DOCTYPE)
_task("lead-external-entity", lambda: _named("&x;"), OUTSIDE)
_task("lead-external-dtd", lambda: _named("1"), PARAMETER)
_task("lead-deep", lambda: f"<task>{'<a>' * 5000}{'</a>' * 5000}</task>")
_task("lead-many-elements", lambda: f"<task>{'<a/>' * 100_000}</task>")
_task("lead-many-attributes", lambda: "<task " + " ".join(f"a{n}='1'" for n in range(5000)) + "/>")
_task("lead-enormous-text", lambda: _named("长" * 200_000))
_task("lead-too-large", lambda: f"<task><!--{'x' * 9_000_000}--></task>")
_task("lead-cut", lambda: _named("1")[:-20])
_task("lead-unknown-entity", lambda: _named("&nbsp;"))
_task("lead-control-reference", lambda: _named("1&#8;"))
_task("lead-attribute-twice", lambda: "<task a='1' a='2'/>")
_task("lead-bidi", lambda: _changed("complaintInfo", "complaintObject", "合作市\u202e业乳"))
_task("lead-date", lambda: _changed("taskInfo", "distributeTime", "2026-02-30 10:00:00"))
_task("lead-identity-number", lambda: _changed("taskInfo", "status", f"状态{IDENTITY_NUMBER}"))
_task("lead-long-detail", lambda: _changed("complaintInfo", "complaintDetail", "长" * 50_000))
