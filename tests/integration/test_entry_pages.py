"""Entry by hand: forms out of the schemas, faults beside their fields, one event however often it is sent."""

from __future__ import annotations

import re
from collections.abc import Sequence
from concurrent.futures import Future
from types import SimpleNamespace
from typing import Any, cast

import pytest
import redis

from hub.domain.problem import ProblemError
from hub.errors import InfrastructureError
from hub.intake.answers_kept import Answer, Asked, KeptAnswers
from hub.intake.desk import Finish
from hub.intake.forms import Filled, Form, FormDesk
from hub.intake.submissions import Submission
from hub.web.site.messages import has
from hub.web.site.portal.entry_form import key_of
from hub.web.site.portal.entry_pages import entry_pages
from hub.wiring.sources_http import department_facts
from tests.integration.test_site import quick_hashes, signed_in  # noqa: F401  # the fixture counts for these too
from tests.support_contracts import catalog
from tests.support_http_intake import MemoryDesk, data, hub_map, receiver, source
from tests.support_site import Site, site

NAME, TYPE = "finance-by-hand", "inspection.result.recorded"
PATH = f"/desk/entry/{NAME}/{TYPE}"


class OnceDesk(MemoryDesk):
    """Answers a request that it knows as before, as the desk of a source does. ``fails`` is raised instead."""

    def __init__(self) -> None:
        super().__init__()
        self.known: dict[str, tuple[str, Answer]] = {}
        self.fails: Exception | None = None
        self.answers: ProblemError | None = None

    def submit(self, submissions: Sequence[Submission], finish: Finish, asked: Asked | None = None) -> Future[Answer]:
        assert asked is not None
        future: Future[Answer] = Future()
        if self.fails is not None:
            future.set_exception(self.fails)
        elif self.answers is not None:
            future.set_result(finish([self.answers]))
        elif self.known.get(asked.key, ("",))[0] == asked.fingerprint:
            future.set_result(self.known[asked.key][1])
        else:
            future = super().submit(submissions, finish, asked)
            self.known[asked.key] = asked.fingerprint, future.result()
        return future


@pytest.fixture
def desk() -> OnceDesk:
    return OnceDesk()


@pytest.fixture
def here(redis_client: redis.Redis, desk: OnceDesk) -> Site:
    given = source(NAME)
    facts = department_facts(hub_map())
    schemas = {
        type_: str(hub_map().topics[topic].schema_) for type_, topic in facts.items()
        if type_.startswith(("inspection.", "enforcement.penalty."))
    }
    forms = FormDesk(receiver(given), desk, schemas, catalog())
    return site(redis_client, [lambda: entry_pages({NAME: ("finance", forms)})])


def filled(number: str = "JC-1", **more: Any) -> dict[str, Any]:
    """An inspection as a browser sends it."""
    found: dict[str, Any] = {"number": number, "_nonce": "of-this-page"}
    for name, value in data(1).items():
        if name == "inspectors":
            for at, row in enumerate(value):
                found |= {f"f.inspectors.{at}.{inner}": text or "" for inner, text in row.items()}
        elif isinstance(value, bool):
            found[f"f.{name}"] = "true" if value else "false"
        else:
            found[f"f.{name}"] = "" if value is None else value
    return found | more


def test_the_form_has_every_field_by_its_chinese_title(here: Site) -> None:
    text = signed_in(here, "fin-clerk").get(PATH).text
    for field in catalog().schema("inspection/result").fields:
        if field.name not in ("record_unique_identity", "department_code", "department_name"):
            assert field.title in text and (f'name="f.{field.name}"' in text or field.name == "inspectors")
    assert '<option value="01"' in text or "<select" in text
    assert 'type="date"' in text and 'name="f.inspectors.1.name"' in text


def test_what_is_entered_becomes_the_event_and_its_way_is_linked(here: Site, desk: OnceDesk) -> None:
    answer = signed_in(here, "fin-clerk").post(PATH, filled())
    assert answer.status_code == 200 and "已入库" in answer.text and '/desk/events/000' in answer.text
    (taken,) = desk.taken
    assert taken.type == TYPE and taken.row.natural_key == "JC-1"
    assert taken.row.value["party_name"] == data(1)["party_name"]
    (act,) = [each for each in here.desks.acts.read() if each.asked.kind == "records.enter"]
    assert (act.asked.actor, act.asked.target, act.state) == ("fin-clerk", NAME, "done")


def test_two_clicks_are_one_event_and_another_content_is_another_version(here: Site, desk: OnceDesk) -> None:
    browser = signed_in(here, "fin-clerk")
    first, second = (browser.post(PATH, filled()).text for _ in range(2))
    assert len(desk.taken) == 1 and ("已入库" in first) == ("已入库" in second)
    browser.post(PATH, filled(**{"f.remark": "补充说明"}))
    assert len(desk.taken) == 2
    # Another page of the same form with the same content: found by its content.
    assert "未重复入库" in browser.post(PATH, filled(_nonce="of-another-page")).text and len(desk.taken) == 2


def test_who_goes_back_to_what_he_said_first_is_heard(redis_client: redis.Redis) -> None:
    kept, form = KeptAnswers(redis_client, NAME), cast(Form, SimpleNamespace(type="inspection.result.recorded"))
    first, second = (
        key_of("fin-clerk", form, Filled("JC-1", {"remark": remark}), "of-this-page") for remark in ("甲", "乙")
    )
    assert first.key == second.key != key_of("fin-leader", form, Filled("JC-1", {}), "of-this-page").key
    for asked, other in ((first, second), (second, first), (first, second)):
        assert kept.get(asked) is None, "it is another version"
        kept.put(asked, Answer(202, b"{}"))
        found = kept.get(asked)
        assert found is not None and found.is_replayed and kept.get(other) is None


def test_faults_stand_beside_their_fields_and_the_first_has_the_focus(here: Site, desk: OnceDesk) -> None:
    wrong = filled(**{"f.party_name": "", "f.check_date": "去年", "f.inspectors.0.name": ""})
    answer = signed_in(here, "fin-clerk").post(PATH, wrong)
    assert answer.status_code == 422 and desk.taken == []
    text = answer.text
    faulty = re.findall(r'id="([^"]+)-fault"', text)
    assert {"f.party_name", "f.check_date", "f.inspectors.0.name"} <= set(faulty)
    (focused,) = re.findall(r'<[^>]* id="([^"]+)"[^>]*autofocus', text)
    assert focused == faulty[0]
    assert all(f'href="#{each}"' in text for each in faulty)
    assert 'value="去年"' in text  # what was typed is not lost
    assert [each for each in here.desks.acts.read() if each.asked.kind == "records.enter"] == []


def test_a_row_more_keeps_what_was_typed_and_hands_nothing_in(here: Site, desk: OnceDesk) -> None:
    text = signed_in(here, "fin-clerk").post(PATH, filled(_more="inspectors", **{"f.remark": "未完"})).text
    assert 'name="f.inspectors.2.name"' in text and "未完" in text and desk.taken == []


def test_what_the_desk_refuses_is_said_on_the_form(here: Site, desk: OnceDesk) -> None:
    desk.answers = ProblemError(409, "nothing-to-amend", "没有可更正的记录", "no version of this record is known")
    answer = signed_in(here, "fin-clerk").post(PATH, filled())
    assert answer.status_code == 409 and "没有可更正的记录" in answer.text and "value=\"JC-1\"" in answer.text


def test_what_is_not_known_to_be_safe_is_not_called_taken(here: Site, desk: OnceDesk) -> None:
    desk.fails = InfrastructureError("Kafka does not answer")
    answer = signed_in(here, "fin-clerk").post(PATH, filled())
    assert answer.status_code == 503 and "已入库" not in answer.text
    (act,) = [each for each in here.desks.acts.read() if each.asked.kind == "records.enter"]
    assert act.state == "failed"
    desk.fails = None
    assert "已入库" in signed_in(here, "fin-clerk").post(PATH, filled()).text and len(desk.taken) == 1


def test_another_department_finds_no_form(here: Site, desk: OnceDesk) -> None:
    other = signed_in(here, "tax-clerk")
    assert other.get(PATH).status_code == 404 and other.post(PATH, filled()).status_code == 404
    assert NAME not in other.get("/desk/entry").text and "没有可录入的事项" in other.get("/desk/entry").text
    assert desk.taken == []


@pytest.mark.parametrize("name", ["fin-admin", "night-watch", "over-looker"])
def test_who_may_not_enter_is_refused(here: Site, name: str) -> None:
    browser = signed_in(here, name)
    assert browser.get(PATH).status_code == 403 and browser.post(PATH, filled()).status_code == 403


@pytest.mark.parametrize("path", [f"/desk/entry/{NAME}/no.such.thing", "/desk/entry/nobody/inspection.result.recorded"])
def test_what_is_no_form_is_not_there(here: Site, path: str) -> None:
    assert signed_in(here, "fin-clerk").get(path).status_code == 404


@pytest.mark.parametrize(
    "more",
    [
        {"f.nothing_of_ours": "x"}, {"f.inspectors": "x"}, {"f.party_name.0.name": "x"}, {"f.inspectors.99.name": "x"},
        {"f.party_name": "甘\x00南"}, {"f.party_name": "x" * 25_000}, {"number": "1" * 900}, {"f.remark": "\u202e"},
    ],
)
def test_a_hostile_form_is_answered_never_failed(here: Site, desk: OnceDesk, more: dict[str, str]) -> None:
    answer = signed_in(here, "fin-clerk").post(PATH, filled(**more))
    assert answer.status_code in (200, 422)
    assert answer.status_code == 422 or "99" in next(iter(more))


def test_every_event_type_has_a_word_in_both_languages(here: Site) -> None:
    browser = signed_in(here, "fin-clerk")
    for language in ("zh", "en"):
        browser.client.cookies.set("lang", language)
        for path in ("/desk/entry", PATH):
            assert browser.get(path).status_code == 200
        assert browser.post(PATH, filled()).status_code == 200
    assert all(has(f"event-word.{type_.rpartition('.')[2]}") for type_ in department_facts(hub_map()))
