"""The console's pages of public channels: what they say, what is asked of the desk, and what hangs on each channel."""

from __future__ import annotations

import re

import pytest

from hub.web.site.console.channel_pages import deadlines_of
from tests.support_console import Stage, client_of, sent
from tests.support_http_intake import hub_map

PATH = "/console/channels"


def test_a_channel_in_trouble_stands_first_with_its_circuit_its_queue_and_its_counts() -> None:
    page = client_of(Stage().site(), "over-looker").get(PATH).text
    rows = re.findall(r'href="/console/channels/([a-z]+)"', page)
    assert rows[0] == "gsxt" and sorted(rows) == sorted(hub_map().channels)
    for word in ("已断开", "30 秒后再试", "HTTP 503", "停滞", "办理中 4 条", "撤下被拒", "1,200", "尚无指令",
                 "政务系统内部", "hub run disclosure"):
        assert word in page, word
    assert "行政处罚公示时限：2 个时限有风险，其中 1 个已逾期" in page


def test_without_a_look_the_queue_says_what_to_start() -> None:
    assert "hub run ops" in client_of(Stage(snapshot=None).site(), "over-looker").get(PATH).text


def test_the_stuck_list_goes_by_pages_and_names_no_person() -> None:
    client = client_of(Stage().site(), "night-watch")
    page = client.get(f"{PATH}/gsxt").text
    assert page.count('name="record"') == 25 and "权限不足" in page and "自然人" in page and "0a1b2c3d" not in page
    (following,) = re.findall(r'href="([^"]+)" rel="next"', page)
    assert client.get(following.replace("&amp;", "&")).text.count('name="record"') == 5
    assert "一致 1,200 条" in page and "已撤下而仍在" in page and "--mend" in page
    waiting = client.get(f"{PATH}/gsxt?show=waiting").text
    assert "record-40" in waiting and 'name="record"' not in waiting


def test_what_is_not_there_is_not_found() -> None:
    client = client_of(Stage().site(), "night-watch")
    for path in (f"{PATH}/nowhere", f"{PATH}/gsxt?show=public"):
        assert client.get(path).status_code == 404
    assert client.post(f"{PATH}/nowhere/again", data=sent("night-watch", reason="x")).status_code == 404


def test_empty_lists_say_that_there_is_nothing_to_do() -> None:
    page = client_of(Stage().site(), "over-looker").get(f"{PATH}/website").text
    for word in ("无须处置", "还没有回执", "hub disclosure reconcile website", "检查结果公示时限"):
        assert word in page, word


def test_withdrawals_are_given_again_with_who_and_why() -> None:
    stage = Stage()
    client = client_of(stage.site(), "night-watch")
    answer = client.post(f"{PATH}/gsxt/again", data=sent("night-watch", record="record-1", reason="已恢复权限"))
    assert (answer.status_code, answer.headers["location"]) == (303, f"{PATH}/gsxt")
    client.post(f"{PATH}/gsxt/again", data=sent("night-watch", reason="全部重发"))
    assert stage.channels.asked == [
        ("gsxt", "record-1", "night-watch", "已恢复权限"), ("gsxt", "night-watch", "全部重发"),
    ]
    refused = client.post(f"{PATH}/gsxt/again", data=sent("night-watch", reason="再来"))
    assert refused.status_code == 422 and "any more" in refused.text


@pytest.mark.parametrize("name", ["over-looker", "fin-clerk", "lead-admin"])
def test_who_may_not_give_anything_again(name: str) -> None:
    stage = Stage()
    answer = client_of(stage.site(), name).post(f"{PATH}/gsxt/again", data=sent(name, reason="x"))
    assert answer.status_code == 403 and stage.channels.asked == []
    if name == "over-looker":
        page = client_of(stage.site(), name).get(f"{PATH}/gsxt").text
        assert "/again" not in page


def test_the_deadlines_of_a_channel_are_those_that_its_receipts_meet() -> None:
    titles = {name: {title for title, _ in deadlines_of(hub_map(), name)} for name in hub_map().channels}
    assert "行政处罚归集公示时限" in titles["gsxt"] and "行政处罚归集公示时限" not in titles["website"]
    assert "检查结果公示时限" in titles["website"] and titles["province"] == set()
