"""Subscriptions in the portal: how delivery stands, and changes that are acts on record."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
import redis

from hub.delivery.settings import SubscriptionSettings
from hub.web.site.portal.replay_pages import replay_pages
from tests.integration.test_site import quick_hashes, signed_in  # noqa: F401  # the fixture counts for these too
from tests.support_console import InMemoryReplays, Late
from tests.support_http_intake import hub_map
from tests.support_portal import NOW, MemoryEndpoint, MemoryKeeper, portal_pages
from tests.support_site import VAULT, Site, site

PATH, OWN = "/desk/subscriptions", "government-procurement"
WHY = {"reason": "系统升级"}


@pytest.fixture
def keeper() -> MemoryKeeper:
    made = MemoryKeeper()
    made.settings[OWN] = SubscriptionSettings(OWN, 1, url="https://receiver.example/in", is_verified=True)
    return made


@pytest.fixture
def endpoint() -> MemoryEndpoint:
    return MemoryEndpoint()


@pytest.fixture
def here(redis_client: redis.Redis, keeper: MemoryKeeper, endpoint: MemoryEndpoint) -> Site:
    return site(redis_client, portal_pages(keeper=keeper, endpoint=endpoint))


def acts(here: Site) -> list[tuple[str, str, str, str]]:
    return [
        (each.asked.kind, each.asked.actor, each.asked.target, each.state) for each in here.desks.acts.read()
        if each.asked.kind.startswith("subscriptions.")
    ]


def test_it_is_paused_and_resumed_on_record(here: Site, keeper: MemoryKeeper) -> None:
    browser = signed_in(here, "fin-admin")
    assert "投递中" in browser.get(PATH).text
    assert browser.post(f"{PATH}/{OWN}/pause", WHY).status_code == 303
    assert keeper.settings[OWN].is_paused and keeper.settings[OWN].changed_by == "fin-admin"
    assert "已暂停" in browser.get(PATH).text
    assert browser.post(f"{PATH}/{OWN}/resume", WHY).status_code == 303
    assert not keeper.settings[OWN].is_paused
    assert acts(here) == [
        (f"subscriptions.{word}", "fin-admin", OWN, "done") for word in ("pause", "resume")
    ]


def test_a_new_secret_is_shown_once_and_signs_beside_the_old_one(here: Site, keeper: MemoryKeeper) -> None:
    browser = signed_in(here, "fin-leader")
    first, second = (browser.post(f"{PATH}/{OWN}/rotate", WHY).text for _ in range(2))
    shown = [re.findall(r"whsec_[A-Za-z0-9+/=]+", text)[0] for text in (first, second)]
    assert set(keeper.settings[OWN].secrets(VAULT, NOW)) == set(shown) and shown[0] != shown[1]
    assert "whsec_" not in browser.get(PATH).text
    assert not any(secret.encode() in (each.value or b"") for secret in shown
                   for topic in here.desks.log.topics.values() for each in topic)


@pytest.mark.parametrize("word", ["pause", "resume", "rotate"])
def test_what_is_refused_changes_nothing(here: Site, keeper: MemoryKeeper, word: str) -> None:
    before = dict(keeper.settings)
    admin = signed_in(here, "fin-admin")
    answers = [
        admin.post(f"{PATH}/{OWN}/{word}", {"reason": " "}), admin.post(f"{PATH}/works-bidding/{word}", WHY),
        signed_in(here, "tax-admin").post(f"{PATH}/{OWN}/{word}", WHY),
        signed_in(here, "lead-admin").post(f"{PATH}/{OWN}/{word}", WHY),
        signed_in(here, "fin-clerk").post(f"{PATH}/{OWN}/{word}", WHY),
    ]
    assert [each.status_code for each in answers] == [422, 404, 404, 404, 403]
    assert keeper.settings == before and acts(here) == []


def test_what_its_receiver_ended_is_not_resumed_by_a_click(here: Site, keeper: MemoryKeeper) -> None:
    keeper.settings[OWN] = replace(keeper.settings[OWN], disabled_reason="410")
    admin = signed_in(here, "fin-admin")
    text = admin.get(PATH).text
    assert "接收方已终止" in text and f"{OWN}/resume" not in text
    assert admin.post(f"{PATH}/{OWN}/resume", WHY).status_code == 409
    assert keeper.settings[OWN].disabled_reason == "410" and [each[3] for each in acts(here)] == ["failed"]


def test_others_see_their_own_or_what_to_do(here: Site) -> None:
    text = signed_in(here, "tax-clerk").get(PATH).text
    assert "本部门没有订阅" in text and OWN not in text
    clerk = signed_in(here, "fin-clerk").get(PATH).text
    assert OWN in clerk and "/pause" not in clerk


# -- address and test event --------------------------------------------------------------------

NEW = "https://receiver.example/new?token=made-up"


def test_an_address_is_changed_when_who_listens_there_agrees(
    here: Site, keeper: MemoryKeeper, endpoint: MemoryEndpoint
) -> None:
    browser = signed_in(here, "fin-leader")
    assert browser.post(f"{PATH}/{OWN}/address", {**WHY, "url": NEW}).status_code == 303
    assert endpoint.asked == [NEW] and keeper.settings[OWN].url == NEW and keeper.settings[OWN].is_verified
    text = browser.get(PATH).text
    assert "https://receiver.example/new</dd>" in text and "made-up" not in text
    assert acts(here) == [("subscriptions.address", "fin-leader", OWN, "done")]
    assert not any(b"made-up" in (each.value or b"") for topic in here.desks.log.topics.values() for each in topic)


def test_an_address_that_does_not_agree_changes_nothing(
    here: Site, keeper: MemoryKeeper, endpoint: MemoryEndpoint
) -> None:
    before, endpoint.refuses = keeper.settings[OWN], "the endpoint answered without the challenge"
    answer = signed_in(here, "fin-admin").post(f"{PATH}/{OWN}/address", {**WHY, "url": NEW})
    assert answer.status_code == 422 and endpoint.refuses in answer.text and keeper.settings[OWN] == before
    assert [each[3] for each in acts(here)] == ["failed"]
    assert "请填写新地址" in signed_in(here, "fin-admin").post(f"{PATH}/{OWN}/address", WHY).text
    assert keeper.settings[OWN] == before


def test_a_test_event_shows_its_receipt(here: Site, endpoint: MemoryEndpoint) -> None:
    browser = signed_in(here, "fin-admin")
    answer = browser.post(f"{PATH}/{OWN}/test", WHY)
    assert answer.status_code == 200 and "测试事件已被接收" in answer.text and "test-1" in answer.text
    endpoint.refuses = "no answer within 15 s"
    answer = browser.post(f"{PATH}/{OWN}/test", WHY)
    assert "测试事件未被接收" in answer.text and endpoint.refuses in answer.text
    assert endpoint.tested == [OWN, OWN]
    assert acts(here) == [("subscriptions.test", "fin-admin", OWN, "done")] * 2


def test_without_an_address_there_is_nothing_to_test(here: Site, keeper: MemoryKeeper) -> None:
    keeper.settings[OWN] = SubscriptionSettings(OWN, 1)
    browser = signed_in(here, "fin-admin")
    assert f"{OWN}/test" not in browser.get(PATH).text
    assert browser.post(f"{PATH}/{OWN}/test", WHY).status_code == 422


@pytest.mark.parametrize("word", ["address", "test"])
def test_only_its_own_leaders_touch_an_endpoint(here: Site, endpoint: MemoryEndpoint, word: str) -> None:
    sent = {**WHY, "url": NEW}
    answers = [
        signed_in(here, "fin-admin").post(f"{PATH}/works-bidding/{word}", sent),
        signed_in(here, "tax-admin").post(f"{PATH}/{OWN}/{word}", sent),
        signed_in(here, "fin-clerk").post(f"{PATH}/{OWN}/{word}", sent),
        signed_in(here, "fin-admin").post(f"{PATH}/{OWN}/{word}", {"url": NEW, "reason": " "}),
    ]
    assert [each.status_code for each in answers] == [404, 404, 403, 422]
    assert (endpoint.asked, endpoint.tested) == ([], [])


# -- replays -----------------------------------------------------------------------------------

REPLAY = f"{PATH}/{OWN}/replay"
SPAN = {"since": "2026-03-01T00:00", "until": "2026-03-02T00:00"}


@pytest.fixture
def replays(redis_client: redis.Redis) -> tuple[Site, InMemoryReplays]:
    late = Late()
    desk = InMemoryReplays(late)
    made = site(redis_client, [lambda: replay_pages(hub_map().subscriptions, desk, late)])
    late.target = made.desks.acts
    return made, desk


def test_a_replay_is_previewed_asked_for_and_waits_for_another(replays: tuple[Site, InMemoryReplays]) -> None:
    here, desk = replays
    browser = signed_in(here, "fin-leader")
    assert "尚未提出过重发" in browser.get(REPLAY).text
    text = browser.get(f"{REPLAY}?since={SPAN['since']}&until={SPAN['until']}").text
    assert '<dd>2</dd>' in text and "复核" in text
    assert browser.post(REPLAY, {**SPAN, "count": "2", "reason": "接收系统故障"}).status_code == 303
    (found,) = [each for each in here.desks.acts.read() if each.asked.kind == "notices.replay"]
    assert found.asked.needs_second and found.asked.target == OWN and found.asked.actor == "fin-leader"
    assert "接收系统故障" in browser.get(REPLAY).text and {name for name, _ in desk.planned} == {OWN}


def test_what_changed_since_the_preview_is_shown_once_more(replays: tuple[Site, InMemoryReplays]) -> None:
    here, desk = replays
    desk.count = 3
    answer = signed_in(here, "fin-leader").post(REPLAY, {**SPAN, "count": "2", "reason": "接收系统故障"})
    assert answer.status_code == 409 and "<dd>3</dd>" in answer.text
    assert [each for each in here.desks.acts.read() if each.asked.kind == "notices.replay"] == []


@pytest.mark.parametrize("span", [{"since": "x", "until": "y"}, {"since": "2026-03-02T00:00", "until": ""}, {
    "since": "2026-03-02T00:00", "until": "2026-03-01T00:00"
}])
def test_a_range_that_is_none_is_said(replays: tuple[Site, InMemoryReplays], span: dict[str, str]) -> None:
    answer = signed_in(replays[0], "fin-leader").get(f"{REPLAY}?since={span['since']}&until={span['until']}")
    assert answer.status_code == 422 and "无法预览" in answer.text


def test_others_ask_for_no_replay(replays: tuple[Site, InMemoryReplays]) -> None:
    here, desk = replays
    sent = {**SPAN, "count": "2", "reason": "看看别人的通知"}
    assert signed_in(here, "tax-admin").post(REPLAY, sent).status_code == 404
    assert signed_in(here, "fin-clerk").post(REPLAY, sent).status_code == 403
    assert signed_in(here, "fin-admin").get(f"{PATH}/works-bidding/replay").status_code == 404
    assert desk.planned == []
