"""The way of an own event, and its form filled in again: for its department alone, for a purpose on record."""

from __future__ import annotations

from collections.abc import Sequence
from html.parser import HTMLParser
from typing import Any, cast

import pytest
import redis

from hub.bus.records import header
from hub.intake.forms import FormDesk
from hub.ops.ledger.view import Ledger
from hub.state.ledger_index import Place, short_id
from hub.web.site.personal import KIND
from hub.web.site.portal.entry_pages import entry_pages
from hub.web.site.portal.event_pages import event_pages
from hub.web.site.portal.own_events import LedgerEvents
from tests.integration.test_entry_pages import OnceDesk
from tests.integration.test_site import quick_hashes, signed_in  # noqa: F401  # the fixture counts for these too
from tests.support_contracts import catalog
from tests.support_http_intake import hub_map, receiver, source
from tests.support_ledger import calendars
from tests.support_pages import PROCUREMENT, Season
from tests.support_portal import MemoryReader
from tests.support_site import Site, site

#: Whose system the listings of a season come from.
SOURCE = "market"


class SeasonIndex:
    """Knows every record of a season by its fact."""

    def __init__(self, season: Season) -> None:
        self._records = season.records
        self._topics = {name: at for at, name in enumerate(sorted({each.topic for each in self._records}))}

    def topics(self) -> dict[str, int]:
        return self._topics

    def floor_ms(self) -> int:
        return 0

    def is_there(self) -> bool:
        return True

    def entity_of(self, id_: str) -> bytes | None:
        for each in self._records:
            if id_.encode() in (header(each.headers, "ce_id"), header(each.headers, "ce_correlationid")):
                return short_id(header(each.headers, "ce_correlationid") or b"")
        return None

    def places(self, entities: Sequence[bytes]) -> list[list[Place]]:
        return [
            [Place(self._topics[each.topic], each.partition, each.offset) for each in self._records
             if short_id(header(each.headers, "ce_correlationid") or b"") == entity]
            for entity in entities
        ]


@pytest.fixture
def season() -> Season:
    made = Season()
    made.route("r1")
    made.end("r1", PROCUREMENT)
    return made


@pytest.fixture
def event_id(season: Season) -> str:
    return (header(season.records[0].headers, "ce_id") or b"").decode()


@pytest.fixture
def desk() -> OnceDesk:
    return OnceDesk()


@pytest.fixture
def here(redis_client: redis.Redis, season: Season, desk: OnceDesk) -> Site:
    ledger = Ledger(
        cast(Any, SeasonIndex(season)), cast(Any, None), cast(Any, MemoryReader(season.records)), cast(Any, None),
        catalog(), hub_map(), calendars(),
    )
    events = LedgerEvents(ledger, {"taxation": frozenset([SOURCE]), "finance": frozenset(["another"])})
    schemas = {f"blacklist.notice.{word}": "blacklist/notice" for word in ("listed", "amended", "removed")}
    given = source(SOURCE, events=["blacklist.notice.*"])
    desks = {SOURCE: ("taxation", FormDesk(receiver(given), desk, schemas, catalog()))}
    return site(redis_client, [lambda: entry_pages(desks), lambda: event_pages(events, desks)])


def test_its_department_sees_its_way_and_not_what_others_were_sent(here: Site, event_id: str) -> None:
    answer = signed_in(here, "tax-clerk").get(f"/desk/events/{event_id}")
    assert answer.status_code == 200 and "失信企业名单信息" in answer.text and "列入" in answer.text
    assert PROCUREMENT not in answer.text and "<strong>投递</strong>" not in answer.text


def test_another_department_and_an_id_that_is_none_are_told_alike(here: Site, event_id: str) -> None:
    other = signed_in(here, "fin-clerk")
    answers = [other.get(f"/desk/events/{each}") for each in (event_id, "0" * 36, "..%2f..")]
    assert {each.status_code for each in answers} == {404}
    assert other.post(f"/desk/events/{event_id}/correct", {"purpose": "看看", "type": "x"}).status_code == 404


def test_a_record_is_corrected_by_its_form_for_a_purpose_on_record(here: Site, event_id: str, desk: OnceDesk) -> None:
    browser, path = signed_in(here, "tax-clerk"), f"/desk/events/{event_id}/correct"
    amended = "blacklist.notice.amended"
    refused = browser.post(path, {"purpose": " ", "type": amended})
    assert refused.status_code == 422 and "form method=\"post\" action=\"/desk/entry" not in refused.text
    assert [each for each in here.desks.acts.read() if each.asked.kind == KIND] == []
    shown = browser.post(path, {"purpose": "更正列入日期", "type": amended})
    assert shown.status_code == 200 and f'action="/desk/entry/{SOURCE}/{amended}"' in shown.text
    assert [each.asked.reason for each in here.desks.acts.read() if each.asked.kind == KIND] == ["更正列入日期"]
    # What the form holds can be handed in as it is: it is the same record, told again.
    fields = _fields(shown.text)
    answer = browser.post(f"/desk/entry/{SOURCE}/{amended}", fields | {"f.remark": "更正"})
    assert answer.status_code == 200, answer.text
    (taken,) = desk.taken
    assert taken.type == amended and taken.row.natural_key == fields["number"]


def test_a_type_that_is_no_correction_is_not_there(here: Site, event_id: str) -> None:
    browser = signed_in(here, "tax-clerk")
    for wanted in ("blacklist.notice.listed", "", "enforcement.penalty.withdrawn"):
        assert browser.post(f"/desk/events/{event_id}/correct", {"purpose": "更正", "type": wanted}).status_code == 404


def test_who_may_not_enter_sees_the_way_alone(here: Site, event_id: str) -> None:
    text = signed_in(here, "tax-admin").get(f"/desk/events/{event_id}").text
    assert "失信企业名单信息" in text and "/correct" not in text
    assert signed_in(here, "over-looker").get(f"/desk/events/{event_id}").status_code == 403


def _fields(text: str) -> dict[str, str]:
    """What a browser would send of the form as it stands."""
    class Fields(HTMLParser):
        def __init__(self) -> None:
            super().__init__()
            self.found: dict[str, str] = {}
            self.at: str | None = None

        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            given = {name: value or "" for name, value in attrs}
            if tag == "input" and given.get("name") and given.get("type") != "checkbox":
                self.found[given["name"]] = given.get("value", "")
            elif tag in ("select", "textarea"):
                self.at = given["name"]
                self.found[self.at] = ""
            elif tag == "option" and "selected" in given and self.at:
                self.found[self.at] = given["value"]

        def handle_data(self, data: str) -> None:
            if self.lasttag == "textarea" and self.at:
                self.found[self.at] += data.strip()

    parser = Fields()
    parser.feed(text.partition('class="panel entry"')[2].partition("</form>")[0])
    return {name: value for name, value in parser.found.items() if name != "_token"}
