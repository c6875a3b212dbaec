"""The national lead feed: what becomes of its tasks, what it refuses, and how it goes round hostile documents."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Iterator
from datetime import date
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from connectors.lead_feed.client import FeedError
from connectors.lead_feed.safe_xml import Bounds, UnreadableError, read_xml
from connectors.lead_feed.task import region_of
from hub.intake import Counts, Row, RowFault, SourceConfig
from hub.sandbox.faults import Fault
from hub.sandbox.generate.tasks import make_tasks
from hub.sandbox.national_book import task_xml
from hub.sandbox.national_platform import PlatformFaults
from tests.support_lead_feed import Platform, blocks, drain, feed_config, open_feed

BOMB = '<!DOCTYPE t [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;"><!ENTITY c "&b;&b;&b;&b;">]>'
OUTSIDE = '<!DOCTYPE t [<!ENTITY x SYSTEM "file:///etc/hostname">]>'


@pytest.fixture
def platform(tmp_path: Path) -> Iterator[Platform]:
    with Platform(tmp_path / "platform") as made:
        yield made


def taken(platform: Platform, data: Path, **more: Any) -> list[Row | RowFault]:
    return drain(open_feed(platform.url, data, **more))


def one(platform: Platform, data: Path) -> Row:
    (item,) = taken(platform, data)
    assert isinstance(item, Row), item
    return item


def fault_of(item: Row | RowFault) -> tuple[str | None, str]:
    assert isinstance(item, RowFault), item
    assert item.problems[0].problem and item.problems[0].remedy
    return item.place.sheet, item.problems[0].code


# -- what becomes of a task --------------------------------------------------------------------


def test_a_complaint_becomes_a_lead(platform: Platform, tmp_path: Path) -> None:
    platform.book.distribute([blocks(1)])
    row = one(platform, tmp_path)
    assert (row.natural_key, row.state_type) == ("GJXS20260000000001", "complaint.lead.received")
    expected = {
        "record_unique_identity": "GJXS20260000000001", "lead_kind": "complaint", "channel": "national",
        "party_name": "合作市雪域牦牛乳业有限责任公司", "party_uscc": "91623000739699913A", "party_kind": "02",
        "region_code": "623001", "category": "食品安全", "received_date": date(2026, 3, 2), "status": "received",
        "summary": "称购买的酸奶有异味，要求处理。", "handling_department": "合作市市场监督管理局",
        "complainant_name": "才让卓玛", "complainant_phone": "10012345678", "is_anonymous": False,
        "remark": "请核实处置",
    }  # fmt: skip
    assert {name: row.value[name] for name in expected} == expected


@pytest.mark.parametrize(
    ("kind", "lead_kind", "category"), [("tipInfo", "report", "无证经营"), ("riskWarning", "risk-warning", "食品安全")]
)
def test_reports_and_warnings_become_leads(
    platform: Platform, tmp_path: Path, kind: str, lead_kind: str, category: str
) -> None:
    platform.book.distribute([blocks(1, kind=kind)])
    value = one(platform, tmp_path).value
    assert (value["lead_kind"], value["category"]) == (lead_kind, category)
    assert value.get("risk_level") == ("high" if kind == "riskWarning" else None)
    assert value["is_anonymous"] is (kind == "tipInfo"), "nobody is anonymous about what a computer found"


def test_an_anonymous_complaint_is_taken(platform: Platform, tmp_path: Path) -> None:
    platform.book.distribute([
        blocks(1, {("complaintInfo", "complainantName"): None, ("complaintInfo", "complainantPhone"): None})
    ])  # fmt: skip
    value = one(platform, tmp_path).value
    assert value["is_anonymous"] is True
    assert value.get("complainant_name") is None and value.get("complainant_phone") is None


def test_a_natural_person_is_known_by_his_id_number(platform: Platform, tmp_path: Path) -> None:
    platform.book.distribute([
        blocks(1, {("complaintInfo", "complaintObject"): "扎西东智",
                   ("complaintInfo", "complaintObjectCertCode"): "623021185006153029"})
    ])  # fmt: skip
    value = one(platform, tmp_path).value
    assert value["party_kind"] == "01" and value.get("party_uscc") is None
    assert value["party_certificate_number"] == "623021185006153029" and value["party_certificate_kind"] == "01"


@pytest.mark.parametrize(
    ("status", "type_"), [("认领", "accepted"), ("反馈", "verified"), ("结束", "resolved")], ids=lambda text: text
)
def test_how_far_it_has_come_is_told(platform: Platform, tmp_path: Path, status: str, type_: str) -> None:
    platform.book.distribute([blocks(1, {
        ("taskInfo", "status"): status, ("processInfo", "claimTime"): "2026-03-03 10:00:00",
        ("processInfo", "endTime"): "2026-03-09 10:00:00", ("processInfo", "feedbackSuggestion"): "已责令退款",
    })])  # fmt: skip
    row = one(platform, tmp_path)
    assert row.state_type == f"complaint.lead.{type_}"
    assert row.value["accepted_date"] == date(2026, 3, 3) and row.value["resolved_date"] == date(2026, 3, 9)
    assert row.value["resolution"] == "已责令退款"


def test_the_same_task_again_is_the_same_row(platform: Platform, tmp_path: Path) -> None:
    platform.book.distribute([blocks(1), blocks(1)])
    first, second = taken(platform, tmp_path)
    assert isinstance(first, Row) and isinstance(second, Row)
    assert (first.natural_key, first.value) == (second.natural_key, second.value)


def test_a_platform_that_gives_everything_twice_says_nothing_new(platform: Platform, tmp_path: Path) -> None:
    platform.faults.set(PlatformFaults(twice=Fault(rate=1.0)))
    platform.book.distribute([blocks(number) for number in range(1, 6)])
    items = taken(platform, tmp_path, page_tasks=2)
    keys = [item.natural_key for item in items if isinstance(item, Row)]
    assert len(keys) == 10 and len(set(keys)) == 5


def test_made_up_tasks_are_taken_unless_they_belong_elsewhere(platform: Platform, tmp_path: Path) -> None:
    made = list(make_tasks(7, 300))
    assert {task.is_ours for task in made} == {task.is_anonymous for task in made} == {True, False}
    platform.book.distribute(task.blocks for task in made)
    items = taken(platform, tmp_path)
    assert [isinstance(item, Row) for item in items] == [task.is_ours for task in made]
    rows = [item for item in items if isinstance(item, Row)]
    assert [row.value["is_anonymous"] for row in rows] == [task.is_anonymous for task in made if task.is_ours]
    refused = {fault_of(item)[1] for item in items if isinstance(item, RowFault)}
    assert refused == {"jurisdiction"}


# -- what is refused ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "code"),
    [
        ({("taskInfo", "unionRegionCode"): "620100", ("taskInfo", "unionRegionName"): "兰州市"}, "jurisdiction"),
        ({("taskInfo", "unionRegionCode"): "622901000000"}, "jurisdiction"),
        ({("taskInfo", "unionRegionCode"): "623099"}, "code"),
        ({("taskInfo", "unionRegionCode"): None, ("taskInfo", "unionRegionName"): "兰州市"}, "code"),
        ({("taskInfo", "status"): "待定"}, "code"),
        ({("taskInfo", "distributeTime"): "昨天"}, "date"),
        ({("complaintInfo", "complaintObject"): None}, "required"),
        ({("complaintInfo", "complaintDetail"): "长" * 5000}, "too-long"),
        ({("tipInfo", "tipObject"): "两种"}, "lead-kind"),
    ],
)
def test_a_task_that_cannot_be_taken_says_why_and_by_its_number(
    platform: Platform, tmp_path: Path, given: Any, code: str
) -> None:
    platform.book.distribute([blocks(1, given), blocks(2)])
    first, second = taken(platform, tmp_path)
    assert fault_of(first) == ("GJXS20260000000001", code)
    assert isinstance(second, Row), "nothing else is lost"


def test_several_problems_are_one_answer(platform: Platform, tmp_path: Path) -> None:
    platform.book.distribute([
        blocks(1, {("taskInfo", "distributeTime"): "昨天", ("complaintInfo", "complaintObject"): None})
    ])  # fmt: skip
    (item,) = taken(platform, tmp_path)
    assert isinstance(item, RowFault)
    (problem,) = item.problems
    assert "distributeTime" in problem.problem and "object" in problem.problem


def test_a_task_without_a_number_is_a_fault(platform: Platform, tmp_path: Path) -> None:
    platform.book.distribute([blocks(1, {("taskInfo", "taskNo"): None})])
    (item,) = taken(platform, tmp_path)
    assert fault_of(item) == (None, "required")


def test_a_refused_task_is_the_same_content_however_far_it_has_come(platform: Platform, tmp_path: Path) -> None:
    away = {("taskInfo", "unionRegionCode"): "620100"}
    platform.book.distribute([
        blocks(1, away), blocks(1, {**away, ("taskInfo", "status"): "反馈"}),
        blocks(1, {**away, ("complaintInfo", "complaintDetail"): "另一件事"}),
    ])  # fmt: skip
    first, again, other = (item.digest for item in taken(platform, tmp_path) if isinstance(item, RowFault))
    assert first == again != other


def test_twelve_digits_are_a_place_within_a_county() -> None:
    assert region_of("623001001000", "某街道") == region_of("623001", None) == "623001"
    assert region_of(None, "合作市") == "合作市"


# -- hostile documents -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("prolog", "body", "code"),
    [
        (BOMB, "<task><taskInfo><taskNo>&c;</taskNo></taskInfo></task>", "xml-doctype"),
        (OUTSIDE, "<task><taskInfo><taskNo>&x;</taskNo></taskInfo></task>", "xml-doctype"),
        ('<!DOCTYPE t SYSTEM "http://127.0.0.1:9/x.dtd">', "<task/>", "xml-doctype"),
        ("", "<task>" + "<a>" * 50 + "</a>" * 50 + "</task>", "xml-depth"),
        ("", f"<task><taskInfo><taskName>{'长' * 100_001}</taskName></taskInfo></task>", "xml-text"),
        ("", "<task " + " ".join(f"a{n}='1'" for n in range(30)) + "/>", "xml-attributes"),
        ("", "<task><taskInfo><taskNo>7</taskInfo></task>", "xml-malformed"),
        ("", f"<task>{'<a/>' * 60_000}</task>", "xml-elements"),
        ("", f"<task><!--{'x' * 3_000_000}--></task>", "xml-size"),
    ],
)
def test_one_hostile_task_costs_only_itself(
    platform: Platform, tmp_path: Path, prolog: str, body: str, code: str
) -> None:
    platform.book.distribute([blocks(number) for number in range(1, 8)])
    platform.book.distribute_raw(body, prolog)
    platform.book.distribute([blocks(number) for number in range(8, 12)])
    items = taken(platform, tmp_path, page_tasks=50, max_page_bytes=2_000_000)
    assert fault_of(items[7]) == (None, code)
    assert [isinstance(item, Row) for item in items] == [True] * 7 + [False] + [True] * 4


def test_a_document_in_the_declared_encoding_is_read() -> None:
    text = f'<?xml version="1.0" encoding="GB18030"?><tasks>{task_xml(blocks(1))}</tasks>'
    for codec in ("gb18030", "utf-16"):
        root = read_xml(text.encode(codec), Bounds())
        assert root.findtext("task/complaintInfo/complainantName") == "才让卓玛"
    with pytest.raises(UnreadableError) as caught:
        read_xml(text.replace("GB18030", "UTF-8").encode("gb18030"), Bounds())
    assert caught.value.code == "xml-encoding"
    with pytest.raises(UnreadableError) as caught:
        read_xml(text.replace("GB18030", "UTF-7").encode("utf-8"), Bounds())
    assert caught.value.code == "xml-encoding"


def test_names_may_have_a_namespace() -> None:
    root = read_xml(b'<n:tasks xmlns:n="urn:x"><n:task/></n:tasks>', Bounds())
    assert [root.tag, *(element.tag for element in root)] == ["tasks", "task"]


# -- a platform that fails ---------------------------------------------------------------------


def test_a_platform_that_is_down_is_tried_again_and_nothing_is_lost(platform: Platform, tmp_path: Path) -> None:
    platform.book.distribute([blocks(number) for number in range(1, 8)])
    platform.faults.set(PlatformFaults(down=Fault(count=1)))
    with pytest.raises(FeedError, match="503"):
        taken(platform, tmp_path, page_tasks=3)
    assert len(taken(platform, tmp_path, page_tasks=3)) == 7


def test_a_wrong_token_is_said_and_not_shown(platform: Platform, tmp_path: Path) -> None:
    with pytest.raises(FeedError, match="token_env") as caught:
        taken(platform, tmp_path, token="another-token")
    assert "another-token" not in str(caught.value)


def test_nobody_listens(tmp_path: Path) -> None:
    with pytest.raises(FeedError, match="does not answer"):
        drain(open_feed("http://127.0.0.1:1", tmp_path))


def test_a_number_without_a_task_is_passed(platform: Platform, tmp_path: Path) -> None:
    platform.book.distribute_raw("")
    assert taken(platform, tmp_path) == []
    assert json.loads(next(tmp_path.glob("intake/**/cursor.json")).read_text())["after"] == 1
    platform.book.distribute([blocks(1)])
    assert len(taken(platform, tmp_path)) == 1


@pytest.mark.parametrize(
    ("status", "headers", "body", "words"),
    [
        (200, {"X-Feed-Next": "0"}, b"<html>login</html>", "no page of tasks"),
        (200, {"X-Feed-Next": "0"}, b"", "no page of tasks"),
        (200, {}, b"<tasks/>", "X-Feed-Next"),
        (200, {"X-Feed-Next": "-1"}, b"<tasks/>", "X-Feed-Next"),
        (200, {"X-Feed-Next": "9" * 30}, b"<tasks/>", "X-Feed-Next"),
        (200, {"X-Feed-Next": "0", "X-Feed-More": "1"}, b"<tasks/>", "X-Feed-More"),
        (200, {"X-Feed-Next": "5", "X-Feed-More": "yes"}, b"<tasks/>", "X-Feed-More"),
        (200, {"X-Feed-Next": "5", "Content-Length": "500"}, b"<tasks/>", "cut after 8 of 500"),
        (204, {"X-Feed-Next": "0"}, b"", "204"),
        (302, {"Location": "http://127.0.0.1:1/elsewhere"}, b"", "302"),
    ],
)
def test_an_answer_that_is_none_is_an_error_and_moves_nothing(
    tmp_path: Path, status: int, headers: dict[str, str], body: bytes, words: str
) -> None:
    with odd_platform(status, headers, body) as url:
        source = open_feed(url, tmp_path)
        with pytest.raises(FeedError, match=words):
            drain(source)
    assert list(tmp_path.glob("intake/**/cursor.json")) == []


@contextlib.contextmanager
def odd_platform(status: int, headers: dict[str, str], body: bytes) -> Iterator[str]:
    """A platform that gives one answer to everything."""

    class Answering(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            """Says nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Answering) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def test_what_was_told_is_not_told_again_unless_it_moves(platform: Platform, tmp_path: Path) -> None:
    platform.book.distribute([blocks(1), blocks(2)])
    assert len(taken(platform, tmp_path)) == 2
    assert taken(platform, tmp_path) == []
    platform.book.answer("a1", "GJXS20260000000001", "认领", {"claimTime": "2026-03-03 10:00:00"})
    row = one(platform, tmp_path)
    assert (row.natural_key, row.state_type) == ("GJXS20260000000001", "complaint.lead.accepted")


@pytest.mark.parametrize("content", ["", "{", '{"after": "x", "url": 1}', "[]"])
def test_a_damaged_cursor_costs_a_reading_and_no_task(platform: Platform, tmp_path: Path, content: str) -> None:
    platform.book.distribute([blocks(1)])
    assert len(taken(platform, tmp_path)) == 1
    (cursor,) = tmp_path.glob("intake/**/cursor.json")
    cursor.write_text(content)
    assert len(taken(platform, tmp_path)) == 1


def test_portions_are_bounded(platform: Platform, tmp_path: Path) -> None:
    platform.book.distribute([blocks(number) for number in range(1, 31)])
    source = open_feed(platform.url, tmp_path, page_tasks=5, portion_tasks=10)
    sizes = []
    for portion in source.portions():
        sizes.append(portion.size)
        list(portion.batches(0))
        portion.finish(Counts(read=portion.size or 0), iter(()))
    assert sizes == [10, 10, 10] and not source.waits()


@pytest.mark.parametrize(
    "given",
    [{"url": "ftp://x"}, {"url": "https://u:p@x"}, {"url": "https://x/?a=1"}, {"url": "http://["},
     {"token": "a", "token_env": "B"}, {"page_tasks": 0}],
)  # fmt: skip
def test_settings_that_cannot_work_are_named(given: dict[str, Any]) -> None:
    entry = {**feed_config("http://127.0.0.1:1").flat(), "token": None, **given}
    config, faults = SourceConfig.parse(entry)
    assert config is None and len(faults) == 1
