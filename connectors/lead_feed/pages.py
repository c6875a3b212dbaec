"""The feed as a run of tasks: page by page, and round what cannot be read."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from connectors.lead_feed.client import FeedClient, FeedError, Page
from connectors.lead_feed.safe_xml import Bounds, UnreadableError, read_xml
from connectors.lead_feed.settings import LeadFeedSettings
from connectors.lead_feed.task import COLUMNS, Fault, read_task
from connectors.lead_feed.wire import task_elements

#: That a task may have, on the average of its page; an honest one has some forty.
_ELEMENTS = 1000


class Task(NamedTuple):
    """``values`` by ``COLUMNS``; ``fault`` is what is wrong with the form of the task, not with its values."""

    values: list[str | None]
    fault: Fault | None


class Read(NamedTuple):
    """Tasks of a page; ``next`` is the number behind which the feed goes on."""

    tasks: list[Task]
    next: int
    has_more: bool


def read_pages(client: FeedClient, settings: LeadFeedSettings, after: int) -> Iterator[Read]:
    """Everything behind ``after``.

    A page that cannot be read (a hostile document, one that is too large) is asked for again in halves, down to
    the one task that is at fault. That one becomes a task without values whose fault says what it is, and
    everything beside it is read. ``FeedError`` as it comes.
    """
    limit = settings.page_tasks
    while True:
        page = client.page(after, limit)
        try:
            tasks = _tasks(page, settings, Bounds(elements=_ELEMENTS * limit, text=settings.max_text))
        except UnreadableError as error:
            if limit > 1:
                limit //= 2
                continue
            if page.next == after:
                # No task was passed: it is the answer that is wrong, and it would be wrong for ever.
                raise FeedError(f"The platform's answer is no page of tasks: {error.problem}.") from None
            tasks = [Task([None] * len(COLUMNS), ("task", error.code, error.problem, error.remedy))]
        yield Read(tasks, page.next, page.has_more)
        if not page.has_more:
            return
        after, limit = page.next, min(settings.page_tasks, limit * 2)


def _tasks(page: Page, settings: LeadFeedSettings, bounds: Bounds) -> list[Task]:
    if page.body is None:
        raise UnreadableError(
            "xml-size", f"内容过大，超过 {settings.max_page_bytes} 字节", f"每个任务最多 {settings.max_page_bytes} 字节"
        )
    return [Task(*read_task(element)) for element in task_elements(read_xml(page.body, bounds))]
