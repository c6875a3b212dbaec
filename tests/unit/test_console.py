"""The console's pages on desks in memory: what they show, who may, and what a desk is asked."""

from __future__ import annotations

import re
import threading
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from markupsafe import escape

from hub.domain.acts import Actor, Request, new_act
from hub.errors import ContractError, InputError
from hub.ops.acts import ACTS_TOPIC
from hub.ops.letters import groups_of
from hub.web.marks import marks_of
from hub.web.site.console.carrying import Carrier
from hub.web.site.console.desks import Way
from hub.web.site.console.endpoint_pages import endpoints_of
from hub.web.site.console.flow import picture, worst_first
from tests.support_console import NOW, Stage, client_of, sent, snapshot
from tests.support_contracts import IDENTITY_NUMBER
from tests.support_site import Site

READ = ["/console/flow", "/console/risks", "/console/endpoints", "/console/letters", "/console/requests",
        "/console/replay", "/console/sources", "/console/map", "/console/channels", "/console/channels/gsxt",
        "/console/channels/website?show=refused", "/console/calendars", "/console/calendars/gannan?year=2026",
        "/console/map/versions", "/console/map/versions/2", "/console/sources/manifests"]


@pytest.fixture
def stage(monkeypatch: pytest.MonkeyPatch) -> Stage:
    made = Stage()
    made.use_memory(monkeypatch)
    return made


@pytest.mark.parametrize("path", READ)
def test_who_reads_the_console(path: str, stage: Stage) -> None:
    made = stage.site()
    for name, status in {"night-watch": 200, "over-looker": 200, "fin-clerk": 403, "lead-admin": 403}.items():
        assert client_of(made, name).get(path).status_code == status, name
    assert client_of(made, "nobody").get(path).status_code == 303


def test_the_days_page_tells_rows_of_a_table_from_files_and_events(stage: Stage) -> None:
    page = client_of(stage.site(), "night-watch").get("/console/sources/manifests").text
    assert all(words in page for words in ("表中行数", "3 个文件的行数", "事件", "the table had 910"))


# -- the flow --------------------------------------------------------------------------------------


def test_the_picture_has_a_row_for_each_stage_with_its_worst_verdict() -> None:
    rows = {row.stage: row for row in picture(snapshot()).rows}
    assert list(rows) == ["routing", "clocks", "disclosure", "delivery"]
    assert {name: row.verdict for name, row in rows.items()} == {
        "routing": "ok", "clocks": "behind", "disclosure": "stalled", "delivery": "stopped",
    }
    delivery = rows["delivery"]
    assert (delivery.groups, delivery.unread, delivery.troubled) == (4, 10, ("hub-delivery-works-bidding",))
    assert rows["routing"].topics == ("blacklist.notices.v1", "inspection.results.v1")
    assert [row.y for row in rows.values()] == sorted({row.y for row in rows.values()})


def test_what_nobody_measured_is_unknown_and_not_nothing() -> None:
    found = snapshot()
    groups = [replace(each, drain_rate=None, arrival_rate=None, lag_seconds=None) for each in found.groups]
    row = {each.stage: each for each in picture(replace(found, groups=groups)).rows}["clocks"]
    assert (row.drain_rate, row.arrival_rate, row.seconds) == (None, None, None)


def test_the_worst_group_stands_first() -> None:
    found = [each.verdict for each in worst_first(snapshot().groups)]
    assert found == ["stopped", "stalled", "behind", "waits", "waits", "ok", "ok"]


def test_the_flow_says_in_words_what_the_picture_says_in_colours() -> None:
    page = client_of(Stage().site(), "night-watch").get("/console/flow").text
    for word in ("未运行", "停滞", "积压", "1,200", "hub-disclosure-gsxt", "无法追平", "1,500.0 条/秒"):
        assert word in page, word
    # What waits by design says for what, and is not "never caught up".
    assert page.count("无法追平") == 2 and "2026-03-02 23:00" in page and "待部门收取" in page
    assert "<svg" in page and 'sse-connect="/live/console/flow"' in page


def test_deadlines_are_named_with_what_to_do_and_no_person_is() -> None:
    page = client_of(Stage().site(), "night-watch").get("/console/risks").text
    assert "行政处罚公示时限" in page and "查看该环节日志" in page and "91623000MA0000000X" in page
    assert "已逾期" in page and "自然人" in page and "0a1b2c3d" not in page


def test_without_a_look_the_pages_say_what_to_start() -> None:
    client = client_of(Stage(snapshot=None).site(), "over-looker")
    for path in READ[:2]:
        assert "hub run ops" in client.get(path).text


# -- endpoints -------------------------------------------------------------------------------------


def test_what_is_stopped_or_waits_stands_first_and_no_secret_is_shown(stage: Stage) -> None:
    page = client_of(stage.site(), "over-looker").get("/console/endpoints").text
    assert "已暂停" in page and "搁置 1 条" in page and "排在其后 2 条" in page and "HTTP 503" in page
    assert "s3cret" not in page and "https://example.invalid/in" in page
    ways = {name: Way(name, "finance", "webhook") for name in ("a", "works-bidding", "government-procurement")}
    found = endpoints_of(ways, stage.endpoints.settings(), stage.endpoints.waiting())
    assert [(each.name, each.state) for each in found] == [
        ("works-bidding", "open"), ("a", "no-address"), ("government-procurement", "paused"),
    ]


@pytest.mark.parametrize(("changes", "state"), [
    ({"disabled_reason": "it said 410"}, "stopped"), ({"is_paused": True}, "paused"), ({"url": None}, "no-address"),
    ({"is_verified": False}, "unverified"), ({"keys": ()}, "no-key"), ({}, "open"),
])  # fmt: skip
def test_every_way_of_being_shut_has_its_word(stage: Stage, changes: dict[str, Any], state: str) -> None:
    settings = {"x": replace(stage.endpoints.in_force["works-bidding"], **changes)}
    (found,) = endpoints_of({"x": Way("x", "finance", "webhook")}, settings, [])
    assert found.state == state and (found.said == "it said 410") is (state == "stopped")
    (own,) = endpoints_of({"x": Way("x", "finance", "kafka")}, {}, [])
    assert own.state == "open"


def test_waiting_notices_are_released_with_who_and_why(stage: Stage) -> None:
    client = client_of(stage.site(), "night-watch")
    path = "/console/endpoints/works-bidding/release"
    answer = client.post(path, data=sent("night-watch", reason="对端已恢复"))
    assert (answer.status_code, answer.headers["location"]) == (303, "/console/endpoints")
    assert stage.endpoints.asked == [("release", "works-bidding", "night-watch", "对端已恢复")]
    assert "搁置" not in client.get("/console/endpoints").text  # what was done here is seen at once
    refused = client.post(path, data=sent("night-watch", reason="再试"))
    assert refused.status_code == 422 and "nothing waits for works-bidding" in refused.text
    assert client.post("/console/endpoints/nobody/release", data=sent("night-watch")).status_code == 404
    assert client.post("/console/endpoints/works-bidding/erase", data=sent("night-watch")).status_code == 404


# -- dead letters ----------------------------------------------------------------------------------


def places(stage: Stage) -> list[str]:
    return [f"{each.topic}:0:{each.offset}" for each in stage.log.records("routing.dead-letters.v1")]


def kinds(stage: Stage) -> list[tuple[str, str]]:
    return [(each.asked.kind, each.state) for each in stage.acts.read()]


def test_letters_by_class_and_one_by_one(stage: Stage) -> None:
    made = stage.site()
    client = client_of(made, "night-watch")
    assert "没有死信" in client.get("/console/letters").text
    stage.fill_letters()
    client = client_of(stage_again(stage), "night-watch")
    page = client.get("/console/letters").text
    name = re.search(r"/console/letters/class/(routing-PoisonError-\w+)", page)
    assert name is not None and "待处置 3 条" in page and "there is no code #" in page
    assert places(stage)[0] in client.get(f"/console/letters/class/{name[1]}").text
    assert client.get("/console/letters/class/none").status_code == 404
    one = client.get("/console/letters/one", params={"place": places(stage)[0]}).text
    assert "there is no code 0" in one and 'name="purpose"' in one and "penalty" not in one
    assert client.get("/console/letters/one", params={"place": "routing.dead-letters.v1:0:99"}).status_code == 422


def stage_again(stage: Stage) -> Site:
    """The site anew on the same log: lists that were kept are read once more."""
    log = stage.log.target
    made = stage.site()
    made.desks.log.topics.update(log.topics)
    return made


def test_a_look_is_on_record_before_anything_is_shown(stage: Stage) -> None:
    client = client_of(stage.site(), "over-looker")
    stage.fill_letters()
    place = places(stage)[0]
    short = client.post("/console/letters/one", data=sent("over-looker", place=place, purpose="看"))
    assert short.status_code == 422 and "请注明用途" in short.text and kinds(stage) == []
    shown = client.post("/console/letters/one", data=sent("over-looker", place=place, purpose="核查投诉第 7 号"))
    assert shown.status_code == 200 and "个人信息已遮蔽" in shown.text and IDENTITY_NUMBER not in shown.text
    (act,) = stage.acts.read()
    assert (act.asked.kind, act.asked.actor, act.asked.reason) == ("record.look", "over-looker", "核查投诉第 7 号")
    stage.log.target.fails_on.add(ACTS_TOPIC)
    again = client.post("/console/letters/one", data=sent("over-looker", place=place, purpose="核查投诉第 7 号"))
    assert again.status_code == 503 and "个人信息已遮蔽" not in again.text


def test_a_class_is_put_back_by_one_person_and_counted_before(stage: Stage) -> None:
    client = client_of(stage.site(), "night-watch")
    stage.fill_letters()
    name = groups_of(stage.desks().letters.letters())[0].class_name
    page = client.get("/console/letters/redrive", params={"name": name}).text
    assert "inspection.results.v1" in page and 'name="count" value="3"' in page
    form = {"name": name, "place": "", "every": "", "reason": "代码表已补"}
    moved = client.post("/console/letters/redrive", data=sent("night-watch", **form, count="2"))
    assert moved.status_code == 409 and "先前 2 条，现在 3 条" in moved.text and kinds(stage) == []
    done = client.post("/console/letters/redrive", data=sent("night-watch", **form, count="3"))
    assert done.status_code == 303 and kinds(stage) == [("dead-letter.redrive", "done")]
    assert len(stage.log.records("inspection.results.v1")) == 3
    without = client.post("/console/letters/redrive", data=sent("night-watch", **{**form, "reason": ""}, count="0"))
    assert without.status_code == 422 and len(stage.log.records("inspection.results.v1")) == 3


# -- the second person -----------------------------------------------------------------------------


def asked_for_all(stage: Stage, made: Site) -> str:
    stage.fill_letters()
    data = sent("night-watch", name="", place="", every="yes", count="4", reason="代码表已补")
    answer = client_of(made, "night-watch").post("/console/letters/redrive", data=data)
    assert answer.status_code == 303 and stage.log.records("inspection.results.v1") == []
    return str(answer.headers["location"])


def test_all_letters_go_back_only_once_another_person_approved(stage: Stage) -> None:
    made = stage.site()
    path = asked_for_all(stage, made)
    night, day = client_of(made, "night-watch"), client_of(made, "day-watch")
    assert "须由另一人批准" in night.get(path).text
    own = night.post(f"{path}/approve", data=sent("night-watch", reason="自己批"))
    assert own.status_code == 422 and "another person has to approve" in own.text
    early = night.post(f"{path}/carry-out", data=sent("night-watch"))
    assert early.status_code == 422 and stage.log.records("inspection.results.v1") == []
    assert day.post(f"{path}/approve", data=sent("day-watch", reason="已核对")).status_code == 303
    assert "执行" in night.get(path).text
    assert night.post(f"{path}/carry-out", data=sent("night-watch")).status_code == 303
    for thread in threading.enumerate():
        if thread.name.startswith("act-"):
            thread.join(20)
    assert kinds(stage) == [("dead-letter.redrive", "done")]
    assert len(stage.log.records("inspection.results.v1")) == 4
    twice = night.post(f"{path}/carry-out", data=sent("night-watch"))
    assert twice.status_code == 422 and len(stage.log.records("inspection.results.v1")) == 4


def test_what_was_refused_stays_undone(stage: Stage) -> None:
    made = stage.site()
    path = asked_for_all(stage, made)
    day = client_of(made, "day-watch")
    assert "1 项待复核" in day.get("/console/requests").text
    assert day.post(f"{path}/refuse", data=sent("day-watch", reason="原因未除")).status_code == 303
    assert day.post(f"{path}/approve", data=sent("day-watch", reason="改主意")).status_code == 422
    assert day.post(f"{path}/carry-out", data=sent("day-watch")).status_code == 422
    assert kinds(stage) == [("dead-letter.redrive", "refused")] and "已拒绝" in day.get(path).text
    assert day.get("/console/requests/none").status_code == 404


def test_a_request_is_carried_out_once_at_a_time() -> None:
    go, started = threading.Event(), threading.Event()
    request = Request(new_act("a.b", Actor("li", "console"), "t", "why", NOW), "approved")

    def carry(request: Request, who: Actor) -> None:
        started.set()
        assert go.wait(20)
        raise InputError("it did not work")

    carrier = Carrier()
    thread = carrier.start(request, Actor("li", "console"), carry)
    assert thread is not None and started.wait(20)
    assert carrier.is_running(request.asked.request_id)
    assert carrier.start(request, Actor("wang", "console"), carry) is None
    go.set()
    thread.join(20)
    assert not carrier.is_running(request.asked.request_id)


# -- who changes nothing ---------------------------------------------------------------------------


def test_an_auditor_sees_all_and_changes_nothing(stage: Stage) -> None:
    made = stage.site()
    path = asked_for_all(stage, made)
    client = client_of(made, "over-looker")
    for address in (*READ, path, "/console/letters/redrive?every=true"):
        page = client.get(address).text.partition("<main")[2]
        assert "data-opens" not in page and "carry-out" not in page, address
    posts = [(route, next(iter(marks)).right) for methods, route, marks in marks_of(made.app)
             if "POST" in methods and route.startswith("/console/")]  # fmt: skip
    assert len(posts) >= 6
    for route, right in posts:
        if right != "letters.look":
            request_id = path.rpartition("/")[2]
            address = route.format(
                name="works-bidding", what="release", request_id=request_id, source="permits", id_="abc123"
            )
            assert client.post(address, data=sent("over-looker", reason="x")).status_code == 403, route
    assert stage.endpoints.asked == stage.sources.asked == [] and kinds(stage) == [("dead-letter.redrive", "asked")]


# -- acts on record --------------------------------------------------------------------------------


@pytest.mark.parametrize(("query", "expected"), [
    ("", 2), ("target=rout", 1), ("state=asked", 1), ("state=done", 1), ("state=refused", 0),
    ("since=2026-03-02&until=2026-03-02", 2), ("since=2026-03-03", 0), ("until=2026-03-01", 0), ("who=LISI&kind=a", 1),
    ("since=yesterday", 2),
])  # fmt: skip
def test_acts_are_found_by_what_is_known_of_them(stage: Stage, query: str, expected: int) -> None:
    made = stage.site()
    made.desks.acts.record(new_act("a.b", Actor("lisi", "command"), "routing", "why", NOW))
    made.desks.acts.record(new_act("b.c", Actor("wang", "console"), "clocks", "why", NOW, state="done"))
    page = client_of(made, "over-looker").get(f"/audit?{query}").text
    assert page.count('<td data-label="操作人">') == expected


# -- sources, and sending again --------------------------------------------------------------------


def test_a_held_portion_is_decided_once_with_who_and_why(stage: Stage) -> None:
    client = client_of(stage.site(), "night-watch")
    page = client.get("/console/sources").text
    assert "撤回 900 行" in page and "示例*" in page and "逾期未报送" in page and "两个工作日未报送" in page
    path = "/console/sources/permits/held/abc123"
    assert client.post(f"{path}/release", data=sent("night-watch", reason="已核实")).status_code == 303
    assert stage.sources.asked == [("permits", "abc123", "released", "night-watch", "已核实")]
    assert "已放行" in client.get("/console/sources").text
    assert client.post(f"{path}/discard", data=sent("night-watch", reason="改主意")).status_code == 422
    for wrong in ("/console/sources/permits/held/other/release", "/console/sources/open/held/abc123/release",
                  f"{path}/erase"):  # fmt: skip
        assert client.post(wrong, data=sent("night-watch", reason="x")).status_code == 404, wrong
    assert len(stage.sources.asked) == 1


def test_a_replay_is_looked_at_then_asked_and_waits(stage: Stage) -> None:
    client = client_of(stage.site(), "night-watch")
    asked = {"subscription": "works-bidding", "since": "2026-03-01T08:00", "until": "2026-03-02T08:00"}
    page = client.get("/console/replay", params=asked).text
    assert 'name="count" value="2"' in page and "已被取代，不发" in page
    (name, wanted), = stage.replays.planned
    assert name == "works-bidding" and wanted.since == datetime(2026, 3, 1, 0, 0, tzinfo=UTC)
    for wrong in ({**asked, "since": "yesterday"}, {**asked, "until": "2026-02-01T08:00"}):
        assert client.get("/console/replay", params=wrong).status_code == 422
    moved = client.post("/console/replay", data=sent("night-watch", **asked, count="7", reason="补发"))
    assert moved.status_code == 409 and "先前 7 条，现在 2 条" in moved.text and kinds(stage) == []
    done = client.post("/console/replay", data=sent("night-watch", **asked, count="2", reason="补发"))
    assert done.status_code == 303 and done.headers["location"].startswith("/console/requests/")
    assert kinds(stage) == [("notices.replay", "asked")]
    stage.replays.count = 0
    assert "没有可重发的通知" in client.get("/console/replay", params=asked).text


def test_a_faulty_file_of_sources_is_said_and_hides_nothing_else(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    def faulty() -> None:
        raise ContractError("sources.yaml: source permits: there is no connector 'exprot'")

    monkeypatch.setattr(stage.sources, "status", faulty)
    answer = client_of(stage.site(), "over-looker").get("/console/sources")
    assert answer.status_code == 200 and "no connector" in answer.text and "来源配置有误" in answer.text


def test_the_map_is_shown_with_its_version_and_grounds(stage: Stage) -> None:
    page = client_of(stage.site(), "over-looker").get("/console/map").text
    found = stage.desks().hub_map
    assert found.version in page and all(name in page for name in found.topics)
    bases = [each.basis for each in found.routes.values()] + [each.basis for each in found.subscriptions.values()]
    assert all(str(escape(basis)) in page for basis in bases)
    assert all(str(escape(rule.title)) in page for rule in found.clocks.values())
