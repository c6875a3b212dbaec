"""A notice in the portal: what is shown of it and to whom, and the answer as the log has it."""

from __future__ import annotations

import json
import threading
from typing import Any

import pytest
import redis
from starlette.datastructures import FormData

from hub.bus.records import header
from hub.delivery.answers import AnswerDesk
from hub.domain.events import output_id
from hub.web.site.form import Form
from hub.web.site.personal import KIND
from hub.web.site.portal.answering import Answering
from tests.integration.test_site import Browser, quick_hashes, signed_in  # noqa: F401  # the fixture counts here too
from tests.support_contracts import catalog
from tests.support_portal import NOW, TODAY, Known, Outbox, SeasonNotices, portal_pages
from tests.support_site import Site, site


@pytest.fixture
def notices() -> SeasonNotices:
    return SeasonNotices()


@pytest.fixture
def outbox() -> Outbox:
    return Outbox()


@pytest.fixture
def here(redis_client: redis.Redis, notices: SeasonNotices, outbox: Outbox) -> Site:
    return site(redis_client, portal_pages(notices=notices, outbox=outbox))


@pytest.fixture
def path(notices: SeasonNotices) -> str:
    return f"/desk/notices/{notices.inbox['notice_id']}"


def measure(notices: SeasonNotices) -> str:
    return str(notices.inbox["expected_measures"][0])


def test_the_page_says_what_it_is_why_it_is_due_and_how_it_came(here: Site, path: str, notices: SeasonNotices) -> None:
    text = signed_in(here, "fin-clerk").get(path).text
    why = notices.explained(notices.view("finance", notices.inbox["notice_id"], TODAY) or pytest.fail())[0].why
    assert why["rule"]["basis"] in text and why["trigger"]["counts_from"].isoformat() in text
    assert why["days_off"] and all(f">{day}</time>" in text for day, _ in why["days_off"])
    assert "个工作日</dd>" in text and "已送达" in text
    # What the other department was sent and answered is its own.
    assert "works-bidding" not in text and str(notices.other["notice_id"]) not in text
    assert "<strong>反馈</strong>" not in text


def test_others_have_no_such_notice(here: Site, path: str, outbox: Outbox, notices: SeasonNotices) -> None:
    other = signed_in(here, "tax-clerk")
    answers = [
        other.get(path), other.post(f"{path}/answer", {"choice": "registered"}),
        other.post(f"{path}/look", {"purpose": "核查案件"}), other.get(path.replace("/desk", "/live")),
        signed_in(here, "fin-clerk").get("/desk/notices/none"),
    ]
    assert [each.status_code for each in answers] == [404] * 5
    assert outbox.outputs == [] and KIND not in {each.asked.kind for each in here.desks.acts.read()}


def test_persons_are_shown_for_a_purpose_that_goes_on_record(here: Site, path: str, notices: SeasonNotices) -> None:
    view = notices.view("finance", notices.inbox["notice_id"], TODAY)
    assert view is not None
    content = notices.content(view)
    assert content is not None and content.withheld
    hidden = next(line.value for line in content.whole if line.name == content.withheld[0])
    browser = signed_in(here, "fin-clerk")
    assert hidden not in browser.get(path).text
    refused = browser.post(f"{path}/look", {"purpose": "看"})
    assert refused.status_code == 422 and hidden not in refused.text
    shown = browser.post(f"{path}/look", {"purpose": "核对〔2026〕3号案件"})
    assert shown.status_code == 200 and hidden in shown.text
    (act,) = [each.asked for each in here.desks.acts.read() if each.asked.kind == KIND]
    assert (act.actor, act.target, act.reason) == ("fin-clerk", notices.inbox["notice_id"], "核对〔2026〕3号案件")
    assert signed_in(here, "fin-admin").post(f"{path}/look", {"purpose": "核对案件"}).status_code == 403


def test_an_answer_is_the_event_that_a_program_would_send(
    here: Site, path: str, outbox: Outbox, notices: SeasonNotices
) -> None:
    form = {
        "choice": f"acted:{measure(notices)}", "acted_on": "2026-03-04", "effective_from": "2026-03-05",
        "effective_until": "2027-03-04", "case_number": "甘南财采〔2026〕3号", "reason": "",
    }
    browser = signed_in(here, "fin-clerk")
    answer = browser.post(f"{path}/answer", form)
    assert (answer.status_code, answer.headers["location"]) == (303, path)
    assert "反馈已入库" in browser.get(path).text
    (output,), (value,) = outbox.outputs, outbox.values()
    assert output.topic == "discipline.feedback.v1" and output.key == str(notices.inbox["subject"]).encode()
    assert header(output.headers, "ce_type") == b"discipline.feedback.acted"
    assert value["feedback_id"] == output_id(notices.inbox["notice_id"], f"feedback:acted:{measure(notices)}")
    assert (value["way"], value["answered_by"], value["status"]) == ("portal", "fin-clerk", "acted")
    assert (value["effective_from"].isoformat(), value["effective_until"].isoformat()) == ("2026-03-05", "2027-03-04")
    assert json.loads(value["content"])["account"] == "fin-clerk"


def test_two_clicks_are_one_answer_and_a_correction_is_another_record(
    here: Site, path: str, outbox: Outbox
) -> None:
    browser = signed_in(here, "fin-clerk")
    threads = [
        threading.Thread(target=browser.post, args=(f"{path}/answer", {"choice": "registered"})) for _ in range(4)
    ]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert len(outbox.outputs) == 1
    browser.post(f"{path}/answer", {"choice": "registered", "case_number": "2026-4"})
    assert [each["case_number"] for each in outbox.values()] == [None, "2026-4"]
    assert len({each["feedback_id"] for each in outbox.values()}) == 1


def test_who_goes_back_to_his_first_answer_is_heard(here: Site, path: str, outbox: Outbox) -> None:
    browser = signed_in(here, "fin-clerk")
    answers: list[dict[str, str]] = [{"choice": "registered"}, {"choice": "objected", "reason": "非本单位职责"},
                                     {"choice": "registered"}]
    for each in answers:
        for _ in range(2):
            assert browser.post(f"{path}/answer", each).status_code == 303
    assert [each["status"] for each in outbox.values()] == ["registered", "objected", "registered"]


def test_after_some_seconds_the_same_answer_is_written_again(notices: SeasonNotices, outbox: Outbox) -> None:
    """Another process may have taken another one meanwhile."""
    now, known = [0.0], Known(notices.known())
    desk = AnswerDesk(catalog(), known, lambda name: [], lambda: NOW)
    answering = Answering(desk, known, outbox.publish, lambda: now[0])
    view = notices.view("finance", notices.inbox["notice_id"], TODAY)
    assert view is not None
    for seconds, written in ((0, 1), (5, 1), (60, 2)):
        now[0] += seconds
        answering.answer(view.notice, Form(FormData([("choice", "registered")])), "fin-clerk")
        assert len(outbox.outputs) == written


def test_what_kafka_did_not_take_is_not_said_to_be_safe(here: Site, path: str, outbox: Outbox) -> None:
    browser = signed_in(here, "fin-clerk")
    outbox.is_down = True
    assert browser.post(f"{path}/answer", {"choice": "registered"}).status_code == 503
    outbox.is_down = False
    assert browser.post(f"{path}/answer", {"choice": "registered"}).status_code == 303
    assert len(outbox.outputs) == 1


@pytest.mark.parametrize(("form", "said"), [
    ({}, "请选择一项反馈"),
    ({"choice": "acted:吊销营业执照"}, "请选择一项反馈"),
    ({"choice": "inapplicable"}, "不适用或有异议的须说明理由"),
    ({"choice": "objected", "reason": "  "}, "不适用或有异议的须说明理由"),
    ({"choice": "MEASURE", "acted_on": "2026-13-01"}, "采取措施日期"),
    ({"choice": "MEASURE", "effective_from": "2026-03-05", "effective_until": "2026-03-04"}, "截止日期早于生效日期"),
])
def test_what_does_not_fit_is_named_and_kept_in_the_form(
    here: Site, path: str, outbox: Outbox, notices: SeasonNotices, form: dict[str, Any], said: str
) -> None:
    if form.get("choice") == "MEASURE":
        form = form | {"choice": f"acted:{measure(notices)}"}
    answer = signed_in(here, "fin-leader").post(f"{path}/answer", form | {"case_number": "2026-77"})
    assert answer.status_code == 422 and said in answer.text and 'value="2026-77"' in answer.text
    assert outbox.outputs == []


def test_who_may_not_answer_has_no_form(here: Site, path: str, outbox: Outbox) -> None:
    admin = signed_in(here, "fin-admin")
    assert f'action="{path}/answer"' not in admin.get(path).text
    assert admin.post(f"{path}/answer", {"choice": "registered"}).status_code == 403
    clerk = signed_in(here, "fin-clerk")
    assert clerk.post(f"{path}/answer", {"choice": "registered"}, token=None).status_code == 403
    assert outbox.outputs == []


def test_both_languages_have_the_page(here: Site, path: str) -> None:
    browser = signed_in(here, "fin-clerk")
    browser.client.cookies.set("lang", "en")
    text = browser.get(path).text
    assert "Legal basis" in text and "working days" in text
