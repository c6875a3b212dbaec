"""Subscriptions in the portal: how delivery stands, and changes that are acts on record."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
import redis

from hub.delivery.settings import SubscriptionSettings
from tests.integration.test_site import quick_hashes, signed_in  # noqa: F401  # the fixture counts for these too
from tests.support_portal import NOW, MemoryKeeper, portal_pages
from tests.support_site import VAULT, Site, site

PATH, OWN = "/desk/subscriptions", "government-procurement"
WHY = {"reason": "系统升级"}


@pytest.fixture
def keeper() -> MemoryKeeper:
    made = MemoryKeeper()
    made.settings[OWN] = SubscriptionSettings(OWN, 1, url="https://receiver.example/in", is_verified=True)
    return made


@pytest.fixture
def here(redis_client: redis.Redis, keeper: MemoryKeeper) -> Site:
    return site(redis_client, portal_pages(keeper=keeper))


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
