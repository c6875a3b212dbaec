"""What departments did goes back up: which answers, in what words, and until when."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI, Response
from structlog.testing import capture_logs

from connectors.lead_feed.source import LeadFeed
from hub.errors import ContractError
from hub.sandbox.faults import Fault
from hub.sandbox.national_platform import PlatformFaults
from hub.settings import Settings, load
from hub.uplink import Exchange, LeadAnswer, Receipt, UnclearAnswerError, Uplink
from hub.uplink.rules import Rules
from hub.wiring.parts import Together
from hub.wiring.uplink import GROUP, Idle, build_uplink, find_uplinks, uplink_groups
from tests.support_intake import catalog
from tests.support_lead_feed import (
    NAME,
    TOKEN,
    Platform,
    Uplinked,
    blocks,
    drain,
    feed_config,
    lead_output,
    open_feed,
    read_record,
    rejection_output,
)
from tests.support_served import served

TASK = "GJXS20260000000001"


@pytest.fixture
def platform(tmp_path: Path) -> Iterator[Platform]:
    with Platform(tmp_path / "platform") as made:
        made.book.distribute([blocks(number) for number in range(1, 6)])
        yield made


@pytest.fixture
def uplinked(platform: Platform) -> Iterator[Uplinked]:
    made = Uplinked(LeadFeed.make_uplink(feed_config(platform.url)))
    yield made
    made.close()


def told(platform: Platform) -> list[tuple[str, str, str]]:
    return [(each["task_no"], each["status"], each["result"]) for each in platform.book.answers()]


# -- which answers -----------------------------------------------------------------------------


def test_what_a_department_did_goes_up_in_order(platform: Platform, uplinked: Uplinked) -> None:
    outputs = [
        lead_output(1, "accepted", accepted_date=date(2026, 3, 3), resolution=None),
        lead_output(1, "mediated", accepted_date=date(2026, 3, 3), resolution="双方达成一致"),
        lead_output(1, "resolved", accepted_date=date(2026, 3, 3), resolved_date=date(2026, 3, 9), resolution="已退款",
                    handling_department="合作市市场监督管理局"),
    ]  # fmt: skip
    receipts = uplinked.bring(*(read_record(output, number) for number, output in enumerate(outputs)))
    assert told(platform) == [(TASK, "认领", "accepted"), (TASK, "反馈", "accepted"), (TASK, "结束", "accepted")]
    assert [(each["action"], each["status"]) for each in receipts] == [
        ("claim", "delivered"), ("feedback", "delivered"), ("end", "delivered")
    ]  # fmt: skip
    assert all(each["reference"] and each["source"] == NAME and each["task_number"] == TASK for each in receipts)
    claim, feedback, end = (each["content"] for each in platform.book.answers())
    assert claim["claimTime"] == "2026-03-03 00:00:00" and "endTime" not in claim
    assert feedback["feedbackSuggestion"] == "双方达成一致" and feedback["feedbackTime"] == "2026-03-04 10:30:00"
    assert (end["endTime"], end["endReason"]) == ("2026-03-09 00:00:00", "已退款")
    assert end["unionDeptName"] == "合作市市场监督管理局"


@pytest.mark.parametrize(
    "output",
    [
        lead_output(1, "received"),
        lead_output(1, "amended"),
        lead_output(1, "accepted", source=NAME),
        rejection_output("hezuo-market", TASK),
        rejection_output(NAME, None),
        rejection_output(NAME, f"{TASK}　认领"),
    ],
    ids=["received", "amended", "the-platforms-own-word", "another-source", "no-number", "under-way"],
)
def test_what_is_not_told(platform: Platform, uplinked: Uplinked, output: Any) -> None:
    assert uplinked.bring(read_record(output)) == []
    assert told(platform) == [] and uplinked.finished[0][1] == []


def test_a_lead_of_another_channel_is_not_told(platform: Platform, uplinked: Uplinked) -> None:
    output = lead_output(1, "accepted")
    value = {**catalog().decode(output.value or b"")[1], "channel": "12345"}
    output = output._replace(value=catalog().schema("complaint/lead").encode(value))
    assert uplinked.bring(read_record(output)) == [] and told(platform) == []


def test_what_could_not_be_taken_is_given_back_with_its_reason_once(platform: Platform, uplinked: Uplinked) -> None:
    outputs = [rejection_output(NAME, TASK, number=number) for number in (1, 2)]
    receipts = uplinked.bring(*map(read_record, outputs))
    assert told(platform) == [(TASK, "退回", "accepted")]
    (answer,) = platform.book.answers()
    assert answer["content"]["feedbackSuggestion"] == "退回：任务不属于本辖区：620100；请改派" and answer["times"] == 2
    assert {each["action"] for each in receipts} == {"return"}
    assert len({each["receipt_id"] for each in receipts}) == 1
    # Other content under the same number is another refusal.
    uplinked.bring(read_record(rejection_output(NAME, TASK, "b" * 16)))
    assert len(platform.book.answers()) == 2


def test_a_refusal_of_the_source_is_what_goes_back(platform: Platform, uplinked: Uplinked, tmp_path: Path) -> None:
    away = ("taskInfo", "unionRegionCode")
    platform.book.distribute([blocks(7, {away: "620100"}), blocks(8, {away: "620100", ("taskInfo", "status"): "反馈"})])
    faults = [item for item in drain(open_feed(platform.url, tmp_path)) if not hasattr(item, "natural_key")]
    uplink = LeadFeed.make_uplink(feed_config(platform.url))
    assert [uplink.returned_task(fault.place.sheet) for fault in faults] == ["GJXS20260000000007", None]


def test_personal_numbers_stay_here(platform: Platform, uplinked: Uplinked) -> None:
    uplinked.bring(read_record(lead_output(
        1, "resolved", party_kind="01", party_name="扎西东智", party_certificate_number="623021185006153029",
        complainant_name="才让卓玛", resolution="扎西东智（623021185006153029）已向才让卓玛退款",
    )))  # fmt: skip
    (answer,) = platform.book.answers()
    assert answer["task_no"] == TASK, "the number of the task is the platform's own"
    said = str(answer["content"])
    assert "退款" in said and "623021185006153029" not in said and "才让卓玛" not in said


# -- until when --------------------------------------------------------------------------------


def test_an_answer_whose_receipt_was_lost_is_taken_once(platform: Platform, uplinked: Uplinked) -> None:
    platform.faults.set(PlatformFaults(lose_receipt=Fault(count=3)))
    receipts = uplinked.bring(read_record(lead_output(1, "accepted")))
    (answer,) = platform.book.answers()
    assert answer["times"] == 4 and [each["status"] for each in receipts] == ["delivered"]


def test_the_same_record_again_is_the_same_answer(platform: Platform, uplinked: Uplinked) -> None:
    record = read_record(lead_output(1, "accepted"))
    first, second = (uplinked.bring(record)[-1] for _ in range(2))
    assert first["receipt_id"] == second["receipt_id"] and first["reference"] == second["reference"]
    assert told(platform) == [(TASK, "认领", "accepted")]


def test_a_platform_that_is_down_gets_everything_when_it_is_back(platform: Platform, uplinked: Uplinked) -> None:
    platform.faults.set(PlatformFaults(down=Fault(count=40)))
    records = [read_record(lead_output(number, "accepted"), number) for number in range(1, 6)]
    assert len(uplinked.bring(*records)) == 5
    assert len(told(platform)) == 5 and platform.faults.faults.down.count == 0


def test_a_refusal_is_on_record_with_its_reason(platform: Platform, uplinked: Uplinked) -> None:
    (receipt,) = uplinked.bring(read_record(lead_output(99, "accepted")))
    assert (receipt["status"], receipt["reason"]) == ("refused", "HTTP 404 没有这个任务")
    platform.faults.set(PlatformFaults(refuse=Fault(count=1)))
    refused = uplinked.bring(read_record(lead_output(1, "accepted")))[-1]
    assert refused["status"] == "refused" and refused["reason"].startswith("HTTP 422")


def test_what_comes_behind_a_later_status_is_delivered_and_changes_nothing(
    platform: Platform, uplinked: Uplinked
) -> None:
    uplinked.bring(read_record(lead_output(1, "resolved")), read_record(lead_output(1, "accepted"), 1))
    assert told(platform) == [(TASK, "结束", "accepted"), (TASK, "认领", "unchanged")]
    assert {each["status"] for each in uplinked.receipts()} == {"delivered"}


def test_a_wrong_token_waits_and_refuses_nothing(platform: Platform) -> None:
    made = Uplinked(LeadFeed.make_uplink(feed_config(platform.url, token="another")))
    try:
        made.bring(read_record(lead_output(1, "accepted")), until=lambda: made.engine._failures > 3)
        assert made.finished == [] and told(platform) == []
    finally:
        made.close()


def test_a_secret_that_is_missing_waits_until_it_is_there(
    platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("TEST_FEED_TOKEN", raising=False)
    made = Uplinked(LeadFeed.make_uplink(feed_config(platform.url, token=None, token_env="TEST_FEED_TOKEN")))
    try:
        made.bring(read_record(lead_output(1, "accepted")), until=lambda: made.engine._failures > 2)
        monkeypatch.setenv("TEST_FEED_TOKEN", TOKEN)
        made.bring(until=lambda: len(made.finished) == 1)
        assert told(platform) == [(TASK, "认领", "accepted")]
    finally:
        made.close()


class Picky:
    """Never takes anything of one task; ``asked`` is what it was asked, in order."""

    source = NAME
    task_prefix = None

    def __init__(self, uplink: Uplink) -> None:
        self._uplink = uplink
        self.asked: list[tuple[str, str]] = []

    def returned_task(self, place: str | None) -> str | None:
        return self._uplink.returned_task(place)

    def exchange(self, answer: LeadAnswer) -> Exchange:
        self.asked.append((answer.task_no, answer.action))
        return self._uplink.exchange(answer)

    def receipt(self, status: int, body: bytes, answer: LeadAnswer) -> Receipt:
        if answer.task_no == TASK:
            raise UnclearAnswerError("not this one")
        return self._uplink.receipt(status, body, answer)


def test_a_failing_answer_holds_back_its_own_task_alone(platform: Platform) -> None:
    picky = Picky(LeadFeed.make_uplink(feed_config(platform.url)))
    made = Uplinked(picky)
    try:
        records = [lead_output(1, "accepted"), lead_output(1, "resolved"), lead_output(2, "accepted"),
                   lead_output(2, "resolved")]  # fmt: skip
        made.bring(*map(read_record, records), until=lambda: len(made.finished) == 2 and len(picky.asked) > 5)
        assert {each["task_number"] for each in made.receipts()} == {"GJXS20260000000002"}
        assert (TASK, "end") not in picky.asked and picky.asked.count((TASK, "claim")) > 1
        made.runner.run(made.engine.revoked([("complaint.leads.v1", 0)]))
        count = len(picky.asked)
        made.runner.run(asyncio.sleep(0.1))
        assert len(picky.asked) == count, "what was revoked is asked no more"
    finally:
        made.close()


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (200, b""), (200, b"<html>login</html>"), (200, b"<answerReceipt><answerId>x</answerId></answerReceipt>"),
        (200, b"<!DOCTYPE a [<!ENTITY b 'c'>]><answerReceipt/>"), (401, b""), (403, b"<answerReceipt/>"),
        (404, b"<html><h1>404 Not Found</h1><hr>nginx</html>"), (404, b'{"detail": "Not Found"}'), (404, b""),
        (405, b""), (407, b""), (410, b""), (413, b"<html>Request Entity Too Large</html>"),
        (404, b"<answerReceipt><result>refused</result></answerReceipt>"),
        (404, b"<answerReceipt><answerId>x</answerId></answerReceipt>"),
        (404, b"<error><answerId>id</answerId></error>"),
        (403, b"<answerReceipt><answerId>id</answerId></answerReceipt>"),
    ],
)  # fmt: skip
def test_a_word_that_shows_nothing_is_no_receipt(status: int, body: bytes) -> None:
    answer = LeadAnswer("id", TASK, "claim", datetime(2026, 3, 4, tzinfo=UTC), None, None, None)
    with pytest.raises(UnclearAnswerError):
        LeadFeed.make_uplink(feed_config("http://127.0.0.1:1")).receipt(status, body, answer)


@pytest.mark.parametrize(("status", "body", "reason"), [
    (404, "<answerReceipt><answerId>id</answerId><reason>无此任务</reason></answerReceipt>", "HTTP 404 无此任务"),
    (400, "", "HTTP 400"), (409, "<html>conflict</html>", "HTTP 409"), (422, '{"title": "不符"}', "HTTP 422"),
])  # fmt: skip
def test_a_refusal_of_the_platforms_own_is_one(status: int, body: str, reason: str) -> None:
    answer = LeadAnswer("id", TASK, "claim", datetime(2026, 3, 4, tzinfo=UTC), None, None, None)
    uplink = LeadFeed.make_uplink(feed_config("http://127.0.0.1:1"))
    assert uplink.receipt(status, body.encode(), answer) == Receipt("refused", None, reason)


class Aside:
    """Sends everything to ``url`` instead, as long as there is one; ``asked`` counts."""

    source = NAME
    task_prefix = None

    def __init__(self, uplink: Uplink) -> None:
        self._uplink = uplink
        self.url: str | None = None
        self.asked = 0

    def returned_task(self, place: str | None) -> str | None:
        return self._uplink.returned_task(place)

    def exchange(self, answer: LeadAnswer) -> Exchange:
        self.asked += 1
        exchange = self._uplink.exchange(answer)
        return exchange if self.url is None else exchange._replace(url=f"{self.url}/answers")

    def receipt(self, status: int, body: bytes, answer: LeadAnswer) -> Receipt:
        return self._uplink.receipt(status, body, answer)


@pytest.mark.parametrize("status", [404, 405, 413])
def test_what_answers_in_the_platforms_place_ends_nothing(status: int, platform: Platform) -> None:
    """A gateway while the platform is set up anew: what waits goes up when it is back."""
    gateway = FastAPI()

    @gateway.post("/{path:path}")
    async def answer(path: str) -> Response:
        return Response("<html><h1>nginx</h1></html>", status_code=status, media_type="text/html")

    aside = Aside(LeadFeed.make_uplink(feed_config(platform.url)))
    made = Uplinked(aside)
    records = [read_record(lead_output(number, "accepted"), number) for number in range(1, 6)]
    try:
        with served(gateway) as aside.url, capture_logs() as logs:
            made.bring(*records, until=lambda: aside.asked > 60)
            assert made.finished == [] and told(platform) == []
            assert [each["source"] for each in logs if each["event"] == "uplink.away"] == [NAME]
            held = [each for each in logs if each["event"] == "uplink.held_back"]
            assert held and str(status) in held[0]["error"] and held[0]["task_no"].startswith("GJXS")
            aside.url = None
            receipts = made.bring(until=lambda: len(made.finished) == 5)
    finally:
        made.close()
    assert [each["status"] for each in receipts] == ["delivered"] * 5
    assert {status for _, status, _ in told(platform)} == {"认领"} and len(told(platform)) == 5


def test_a_record_that_cannot_be_read_becomes_a_dead_letter(platform: Platform, uplinked: Uplinked) -> None:
    good = read_record(lead_output(1, "accepted"), 1)
    uplinked.bring(good._replace(value=b"\0\0\0\0\1rubbish", offset=0), good)
    letters = [output for _, made in uplinked.finished for output in made if output.topic == "uplink.dead-letters.v1"]
    assert [letter.value for letter in letters] == [b"\0\0\0\0\1rubbish"]
    assert told(platform) == [(TASK, "认领", "accepted")]


# -- wiring ------------------------------------------------------------------------------------


def settings_with(folder: Path, *names: str, **prefixes: str) -> Settings:
    """``prefixes``: of the numbers of tasks, by source."""
    entries = "".join(
        f"  - {{name: {name}, connector: lead-feed, url: 'http://127.0.0.1:1', department_code: '116230009900000171',"
        " department_name: 甘南州市场监督管理局, region_code: '623000'"
        + (f", task_prefix: {prefixes[name]}" if name in prefixes else "") + "}\n"
        for name in names
    )
    (folder / "sources.yaml").write_text(f"sources:\n{entries}" if names else "sources: []\n", encoding="utf-8")
    return load(data=folder, bootstrap_servers="127.0.0.1:1", redis_index_url="redis://127.0.0.1:1/0")


def test_the_source_with_a_way_back_up_is_found(tmp_path: Path) -> None:
    (found,) = find_uplinks(settings_with(tmp_path, NAME))
    assert found.source == NAME
    assert set(uplink_groups(settings_with(tmp_path, NAME))) == {f"{GROUP}-{NAME}"}


def test_without_one_the_stage_is_idle_and_reads_nothing(tmp_path: Path) -> None:
    settings = settings_with(tmp_path)
    assert uplink_groups(settings) == {}
    service = build_uplink(settings, catalog())
    assert isinstance(service, Idle)
    service.stop()
    service.run()


def test_each_of_several_has_a_flow_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = settings_with(tmp_path, "one", "two", one="GJXS", two="SJXS")
    assert set(uplink_groups(settings)) == {f"{GROUP}-one", f"{GROUP}-two"}
    made: list[tuple[str, str]] = []

    def flow(uplink: Uplink, *, group: str, **_: Any) -> Idle:
        made.append((uplink.source, group))
        return Idle()

    monkeypatch.setattr("hub.wiring.uplink.UplinkEngine", lambda uplink, *_: uplink)
    monkeypatch.setattr("hub.wiring.uplink.Flow", flow)
    assert isinstance(build_uplink(settings, catalog()), Together)
    assert made == [("one", f"{GROUP}-one"), ("two", f"{GROUP}-two")]


@pytest.mark.parametrize("prefixes", [{}, {"one": "GJ"}, {"one": "GJ", "two": "GJXS"}, {"one": "GJ", "two": "GJ"}])
def test_where_a_number_does_not_say_whose_it_is_nothing_starts(tmp_path: Path, prefixes: dict[str, str]) -> None:
    with pytest.raises(ContractError, match=r"task_prefix: tasks of (one|two) may begin so too"):
        find_uplinks(settings_with(tmp_path, "one", "two", **prefixes))


@pytest.mark.parametrize(("prefix", "expected"), [("GJXS", "claim"), ("SJXS", None)])
def test_an_answer_goes_to_the_platform_whose_number_it_is(prefix: str, expected: str | None) -> None:
    uplink = LeadFeed.make_uplink(feed_config("http://127.0.0.1:1", task_prefix=prefix))
    found = Rules(uplink, catalog()).answer(read_record(lead_output(1, "accepted"), 1))
    assert (found and found[1].action) == expected
