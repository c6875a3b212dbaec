"""A clerk answers a notice by a page, and the clock of his deadline is met: real Kafka, Valkey, clocks and ledger."""

from __future__ import annotations

import re
from contextlib import ExitStack, closing
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import pytest
import redis
from confluent_kafka.cimpl import NewTopic

from hub.bus.publisher import KafkaPublisher
from hub.bus.reader import read_topics
from hub.bus.records import Output
from hub.clocks.wire import INPUTS, STATES
from hub.delivery.message import to_notice
from hub.delivery.settings import SETTINGS_TOPIC
from hub.ops.acts import ACTS_TOPIC
from hub.state.notice_index import NoticeIndex
from hub.web.site.pages import PageSet
from hub.wiring import build_service, portal
from hub.wiring.ledger import ledger_view
from hub.wiring.parts import open_map
from hub.wiring.portal import portal_parts
from tests import support_pages
from tests.conftest import IndexLike, KafkaLike
from tests.support_browser import site_settings
from tests.support_console import StandInDoor, client_of, sent
from tests.support_contracts import catalog
from tests.support_ledger import running, service, wait_until, write
from tests.support_pages import PROCUREMENT, Season
from tests.support_site import site
from tests.support_topics import having

#: What the clocks stage writes or needs beside its inputs; of one partition where the map says so.
BESIDE, SINGLE = ("clock.alerts.v1", "clocks.dead-letters.v1"), ("reference.calendars.v1", ACTS_TOPIC, SETTINGS_TOPIC)


def test_an_answer_by_a_page_meets_the_clock_and_the_page_says_so(
    kafka: KafkaLike, valkey: IndexLike, redis_client: redis.Redis, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Delivered just now: the five working days run.
    monkeypatch.setattr(support_pages, "NOW", datetime.now(UTC).replace(microsecond=0))
    season = Season()
    season.route("r1")
    season.end("r1", PROCUREMENT)
    inbox = season.notice("r1", PROCUREMENT)
    path = f"/desk/notices/{inbox['notice_id']}"
    settings = site_settings(kafka.bootstrap, valkey.url, tmp_path)
    hub_map = open_map(settings)
    names = {each.topic for each in season.records} | set(INPUTS) | set(BESIDE)
    compacted = [name for name in (*names, STATES, "clock.terms.v1") if hub_map.topics[name].cleanup == "compact"]
    with (
        having(
            kafka.bootstrap, sorted(names - set(compacted)), *(NewTopic(name, 1, -1) for name in SINGLE),
            *(NewTopic(name, 12, -1, config={"cleanup.policy": "compact"}) for name in compacted),
        ),
        closing(KafkaPublisher(kafka.bootstrap, client_id="test")) as publisher,
        running(build_service(settings, "clocks")), running(service(kafka.bootstrap, redis_client)),
        ExitStack() as kept,
    ):
        monkeypatch.setattr(portal, "ledger_view", lambda *given: kept.enter_context(closing(ledger_view(*given))))
        made = site(redis_client, [
            partial(_itself, part) for part in portal_parts(settings, hub_map, catalog(), publisher, {})
        ])
        made.parts.door = StandInDoor(made)  # type: ignore[assignment]  # it knows the one call that pages make
        NoticeIndex(redis_client).rebuild([to_notice(inbox)])
        write(kafka.bootstrap, (Output(each.topic, each.key, each.value, each.headers) for each in season.records))
        clerk = client_of(made, "fin-clerk")

        def page() -> str:
            return clerk.get(path).text

        wait_until(lambda: "待反馈" in page() and "采取措施并反馈时限" in page(), "the notice and its clock")
        assert "按期完成" not in page() and "登记时限" in page()
        assert client_of(made, "tax-clerk").get(path).status_code == 404
        (measure,) = re.findall(r'value="(acted:[^"]+)"', page())[:1]
        answer = clerk.post(f"{path}/answer", data=sent("fin-clerk", choice=measure, acted_on=_today()))
        assert (answer.status_code, answer.headers["location"]) == (303, path)
        # Who has answered has registered it: both of its clocks are met.
        wait_until(lambda: page().count(">按期完成</span>") == 2, "the clocks as met on the page")
        states = {
            (value["rule"], value["status"])
            for value in (catalog().decode(each.value or b"")[1] for each in read_topics(kafka.bootstrap, [STATES]))
        }
        assert ("act-and-answer", "met") in states and ("act-and-answer", "met_late") not in states
        (said,) = [catalog().decode(each.value or b"")[1]
                   for each in read_topics(kafka.bootstrap, ["discipline.feedback.v1"])]
        assert (said["answered_by"], said["way"], said["status"]) == ("fin-clerk", "portal", "acted")


def _itself(part: PageSet) -> PageSet:
    return part


def _today() -> str:
    return datetime.now(UTC).date().isoformat()
