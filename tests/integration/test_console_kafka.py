"""The console on the real desks: every page answers, and what is changed is an act on the log."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import redis
from confluent_kafka.cimpl import NewTopic

from hub.bus.publisher import KafkaPublisher
from hub.bus.reader import read_topics
from hub.delivery.settings import SETTINGS_TOPIC
from hub.delivery.waits import WAITS_TOPIC
from hub.errors import PoisonError
from hub.intake.guards.log import GUARD_TOPICS
from hub.ops.acts import ACTS_TOPIC
from hub.ops.letters import ENDING
from hub.ops.map_log import MAPS_TOPIC
from hub.state.snapshot_store import KEY, SnapshotStore
from hub.wiring.acts import acts_desk
from hub.wiring.console import console_part
from hub.wiring.delivery import settings_desk
from hub.wiring.maps import MapNote
from hub.wiring.parts import open_catalog, open_map
from tests.conftest import IndexLike, KafkaLike
from tests.support_browser import site_settings
from tests.support_console import StandInDoor, client_of, letter_record, sent, snapshot
from tests.support_ledger import running, wait_until
from tests.support_site import site
from tests.support_topics import having

PAGES = ("flow", "risks", "endpoints", "letters", "letters/redrive?every=true", "requests", "replay", "sources", "map",
         "channels", "channels/gsxt", "calendars", "calendars/gannan", "map/versions", "sources/manifests")
NAME, RESULTS = "government-procurement", "inspection.results.v1"


def test_every_page_works_on_the_desks_of_the_hub(kafka: KafkaLike, valkey: IndexLike, tmp_path: Path) -> None:
    settings = site_settings(kafka.bootstrap, valkey.url, tmp_path)
    (tmp_path / "sources.yaml").write_text("sources: []\n")
    catalog = open_catalog(settings)
    hub_map = open_map(settings, catalog)
    letters = [name for name in hub_map.topics if name.endswith(ENDING)]
    single = [*letters, *GUARD_TOPICS, ACTS_TOPIC, SETTINGS_TOPIC, "reference.calendars.v1", MAPS_TOPIC, RESULTS]
    with (
        redis.Redis.from_url(valkey.url) as client,
        having(kafka.bootstrap, [WAITS_TOPIC, f"inbox.{NAME}"], *(NewTopic(name, 1, -1) for name in single)),
        closing(KafkaPublisher(kafka.bootstrap, client_id="test")) as publisher,
    ):
        kept = acts_desk(settings, publisher, is_kept=True)
        made = site(client, [lambda: console_part(settings, hub_map, catalog, publisher, kept)])
        made.parts.door = StandInDoor(made)  # type: ignore[assignment]  # it knows the one call that pages make
        SnapshotStore(client).put(snapshot().as_dict(), seconds=60)
        publisher.publish([letter_record(0, PoisonError("there is no code 0"), b"no schema")])
        page = client_of(made, "night-watch")
        with running(MapNote(settings, hub_map)):
            noted = "since routing began"
            wait_until(lambda: noted in page.get("/console/map/versions").text, "the version of the map")
        for path in PAGES:
            answer = page.get(f"/console/{path}")
            assert answer.status_code == 200, (path, answer.text[-2000:])
        asked = {"subscription": NAME, "since": "2026-03-01T08:00", "until": "2026-03-02T08:00"}
        assert "没有可重发的通知" in page.get("/console/replay", params=asked).text
        # A change and its act, as by command.
        paused = page.post(f"/console/endpoints/{NAME}/pause", data=sent("night-watch", reason="对端维护"))
        assert paused.status_code == 303
        assert settings_desk(settings, catalog, publisher).read()[NAME].is_paused
        assert "已暂停" in page.get("/console/endpoints").text
        nothing = page.post(f"/console/endpoints/{NAME}/release", data=sent("night-watch", reason="对端恢复"))
        assert nothing.status_code == 422
        form = {"name": "", "place": "routing.dead-letters.v1:0:0", "every": "", "count": "1", "reason": "已补"}
        back = page.post("/console/letters/redrive", data=sent("night-watch", **form))
        assert back.status_code == 303
        assert len(list(read_topics(kafka.bootstrap, [RESULTS]))) == 1
        acts = [(each.asked.kind, each.state) for each in acts_desk(settings, publisher).read()]
        assert acts == [("subscriptions.pause", "done"), ("dead-letter.redrive", "done")]
        client.delete(KEY)
        assert "hub run ops" in page.get("/console/flow").text
