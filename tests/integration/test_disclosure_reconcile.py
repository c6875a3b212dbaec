"""From an event to both public channels and back: replaced, withdrawn with its reason, compared and mended."""

from __future__ import annotations

import json
import sqlite3
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, closing
from datetime import UTC, date, datetime, timedelta
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from typer.testing import CliRunner, Result

from hub.bus.publisher import KafkaPublisher
from hub.bus.reader import read_topics
from hub.bus.records import Output, Record
from hub.cli.main import build
from hub.contracts.cloudevents import from_headers, to_headers
from hub.contracts.map import HubMap
from hub.disclosure.orders import ORDERS_TOPIC
from hub.disclosure.receipts import RECEIPTS_TOPIC
from hub.disclosure.service import group_of
from hub.domain.calendar import local_date
from hub.domain.clock_fold import apply
from hub.domain.clocks import ClockState, Status
from hub.domain.events import Envelope, entity_id, event_id
from hub.routing.stage import RoutingStage
from hub.sandbox.disclosure_system import create_disclosure_system
from hub.sandbox.faults import Fault, FaultPlan, Faults
from tests.support_clocks import CALENDARS
from tests.support_contracts import catalog, sample
from tests.support_disclosure import platform, serving
from tests.support_groups import delete_groups
from tests.support_served import served, wait_until
from tests.unit.test_clock_rules import READER, RULES
from tests.unit.test_routing import PENALTIES, PUBLISHED, SUBJECT, changed_map

if TYPE_CHECKING:
    from tests.conftest import CreateTopics, KafkaLike

CHANNELS = ("gsxt", "creditchina")
WHY = ["--mend", "--reason", "页面缺失", "--by", "张三"]
RULE = "withdraw-changed-penalty"
TODAY = local_date(datetime.now(UTC))
UNTIL, OVER = TODAY + timedelta(days=200), TODAY - timedelta(days=1)


@cache
def two_channels() -> HubMap:
    """The project's map with two channels of one kind, whose system lists what is public; no others."""

    def change(raw: dict[str, Any]) -> None:
        raw["channels"] = {name: raw["channels"]["gsxt"] for name in CHANNELS}
        for route in list(raw["routes"]):
            left = [name for name in raw["routes"][route]["channels"] if name in CHANNELS]
            raw["routes"][route]["channels"] = left
            if not left:
                del raw["routes"][route]
        for clock in raw["clocks"].values():
            clock.pop("channels", None)
            if "channel" in clock.get("met_where", {}):
                del clock["met_where"]["channel"]

    with TemporaryDirectory() as folder:
        return changed_map(Path(folder), change)


class World:
    """Two channels with a system each, the hub's disclosure on a real Kafka, and its command line."""

    def __init__(self, bootstrap: str, folder: Path, urls: dict[str, str], plans: dict[str, FaultPlan]) -> None:
        self.bootstrap, self.folder, self.urls, self.plans = bootstrap, folder, urls, plans
        self._app = build(["disclosure"])

    def happen(self, row: str, type: str, version: int, **content: Any) -> list[Output]:
        """An event of a penalty, through routing onto the log of orders; returns all that routing made of it."""
        schema, now = catalog().schema("enforcement/penalty"), datetime.now(UTC)
        envelope = Envelope(
            id=event_id("market", row, version), source="/sources/market", type=type, subject=SUBJECT, time=now,
            correlation_id=entity_id("market", row), sequence=version, natural_key=row,
        )  # fmt: skip
        # Channels are served by the real time: the last day of publication lies ahead, unless a test says another.
        given = {**PUBLISHED, "publish_until": UNTIL, **content}
        value = schema.encode(sample(schema, **given))
        record = Record(PENALTIES, 0, version, int(now.timestamp() * 1000), SUBJECT.encode(), value,
                        to_headers(envelope))  # fmt: skip
        (outputs,) = RoutingStage(two_channels(), catalog(), lambda: now).handle([record])
        self.write([output for output in outputs if output.topic == ORDERS_TOPIC])
        return list(outputs)

    def write(self, outputs: list[Output]) -> None:
        with closing(KafkaPublisher(self.bootstrap, client_id="test")) as publisher:
            publisher.publish(outputs)

    def receipts(self) -> list[Record]:
        return list(read_topics(self.bootstrap, [RECEIPTS_TOPIC]))

    def settle(self) -> None:
        """Until every order has its receipt."""
        orders = {from_headers(each.headers).id for each in read_topics(self.bootstrap, [ORDERS_TOPIC])}

        def is_settled() -> bool:
            ends = {catalog().decode(each.value or b"")[1]["order_id"] for each in self.receipts()}
            return ends >= orders

        wait_until(is_settled, "the receipts")

    def public(self, channel: str, row: str) -> tuple[int, Any]:
        """Status and document of a record as its channel shows it."""
        return ask(f"{self.urls[channel]}/api/v1/records/{channel}/{entity_id('market', row)}")

    def page(self, channel: str, row: str) -> tuple[int, str]:
        status, text = fetch(f"{self.urls[channel]}/records/{channel}/{entity_id('market', row)}")
        return status, text

    def tamper(self, channel: str, statement: str, *given: Any) -> None:
        with closing(sqlite3.connect(self.folder / channel / "disclosure.sqlite")) as register, register:
            assert register.execute(statement, given).rowcount == 1

    def hub(self, *arguments: str) -> Result:
        return CliRunner().invoke(self._app, ["disclosure", *arguments])

    def reconcile(self, channel: str, *more: str, code: int) -> dict[str, Any]:
        result = self.hub("reconcile", channel, "--json", *more)
        assert result.exit_code == code, result.output
        return document_of(result)


def document_of(result: Result) -> dict[str, Any]:
    """What a command printed. Channels are served in threads of this process: what they log may stand before it."""
    found: dict[str, Any] = json.loads(result.stdout[result.stdout.index("{\n") :])
    return found


def ask(url: str) -> tuple[int, Any]:
    status, text = fetch(url)
    return status, json.loads(text)


def fetch(url: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(url, timeout=20) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


@pytest.fixture
def world(
    kafka: KafkaLike, create_topics: CreateTopics, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[World]:
    create_topics(ORDERS_TOPIC, RECEIPTS_TOPIC, partitions=3)
    create_topics("disclosure.dead-letters.v1", "audit.acts.v1", partitions=1)
    plans = {name: FaultPlan() for name in CHANNELS}
    with ExitStack() as stack:
        urls = {
            name: stack.enter_context(served(create_disclosure_system(tmp_path / name, plans[name], catalog())))
            for name in CHANNELS
        }
        endpoints = {"channels": {name: {"url": url} for name, url in urls.items()}}
        (tmp_path / "endpoints.yaml").write_text(yaml.safe_dump(endpoints))
        for name, value in {"BOOTSTRAP_SERVERS": kafka.bootstrap, "DATA": str(tmp_path), "LOG_LEVEL": "error"}.items():
            monkeypatch.setenv(f"HUB_{name}", value)
        # A second and a half for each command, which has tests of its own.
        monkeypatch.setattr("hub.wiring.disclosure.open_catalog", lambda settings: catalog())
        monkeypatch.setattr("hub.wiring.disclosure.open_map", lambda settings, of=None: two_channels())
        sinks = {name: platform(tmp_path, url, channel=name) for name, url in urls.items()}
        with serving(kafka.bootstrap, sinks, CHANNELS):
            yield World(kafka.bootstrap, tmp_path, urls, plans)
    delete_groups(kafka.bootstrap, map(group_of, CHANNELS))


def clock_of(outputs: list[Output], receipts: list[Record], channel: str) -> ClockState:
    """The clock of a change on one channel, as the clocks stage folds it."""
    given = [
        READER.of_signal(catalog().decode(output.value or b"")[1]) for output in outputs
        if output.topic == "clock.signals.v1"
    ]
    for record in receipts:
        given += READER.of_receipt(from_headers(record.headers), catalog().decode(record.value or b"")[1])
    state: ClockState | None = None
    for signal in given:
        if signal.rule == RULE and signal.target == channel:
            state, _ = apply(state, signal, RULES[RULE], CALENDARS[RULES[RULE].calendar])
    assert state is not None
    return state


def test_a_penalty_is_replaced_and_withdrawn_everywhere_with_one_channel_down_half_of_the_time(world: World) -> None:
    world.plans["creditchina"].set(Faults(down=Fault(rate=0.5), lose_receipt=Fault(rate=0.1)))
    world.happen("p1", "enforcement.penalty.recorded", 1, penalty_content="罚款一万元")
    world.settle()
    amended = world.happen("p1", "enforcement.penalty.amended", 2, penalty_content="罚款五千元")
    world.settle()
    for channel in CHANNELS:
        status, record = world.public(channel, "p1")
        assert (status, record["sequence"], record["content"]["penalty_content"]) == (200, 2, "罚款五千元")
        assert record["publish_until"] == UNTIL.isoformat()
        assert world.page(channel, "p1")[1].count(UNTIL.isoformat()) >= 1
        assert clock_of(amended, world.receipts(), channel).status is Status.MET
    gone = world.happen("p1", "enforcement.penalty.withdrawn", 3, department_name="合作市市场监督管理局")
    world.settle()
    for channel in CHANNELS:
        status, problem = world.public(channel, "p1")
        assert status == 410 and datetime.fromisoformat(problem["withdrawn_at"]).tzinfo is not None
        assert problem["reason"] == "合作市市场监督管理局撤回该信息" and "罚款" not in json.dumps(problem)
        status, page = world.page(channel, "p1")
        assert status == 410 and problem["reason"] in page and "停止公示时间" in page and "罚款" not in page
        state = clock_of(gone, world.receipts(), channel)
        assert state.status is Status.MET and state.met_at is not None and state.due_at is not None
        assert state.met_at <= state.due_at
    assert world.reconcile("gsxt", code=0)["differences"] == []


def test_the_end_of_its_term_withdraws_a_record(world: World) -> None:
    world.happen("p2", "enforcement.penalty.recorded", 1)
    world.settle()
    schema = catalog().schema("clock/term")
    now, entity = datetime.now(UTC), entity_id("market", "p2")
    envelope = Envelope(
        id=event_id("clocks", "p2", 1), source="/stages/clocks", type="clock.term.expired", subject=SUBJECT, time=now,
        correlation_id=entity, sequence=1,
    )  # fmt: skip
    value = schema.encode(sample(
        schema, rule="end-penalty-publication", title="行政处罚公示期满", ended_on=date(2026, 3, 2), subject=SUBJECT
    ))
    record = Record("clock.terms.v1", 0, 0, int(now.timestamp() * 1000), SUBJECT.encode(), value, to_headers(envelope))
    (outputs,) = RoutingStage(two_channels(), catalog(), lambda: now).handle([record])
    world.write([output for output in outputs if output.topic == ORDERS_TOPIC])
    world.settle()
    for channel in CHANNELS:
        status, problem = world.public(channel, "p2")
        assert (status, problem["reason"]) == (410, "公示期满：行政处罚公示期满，至2026-03-02")


def test_what_is_over_stays_withdrawn_whatever_is_amended_or_mended(world: World) -> None:
    world.happen("p3", "enforcement.penalty.recorded", 1, publish_until=OVER)
    world.happen("p4", "enforcement.penalty.recorded", 1)
    world.settle()
    amended = world.happen("p4", "enforcement.penalty.amended", 2, publish_until=OVER, remark="更正")
    world.settle()
    for channel in CHANNELS:
        assert [world.public(channel, row)[0] for row in ("p3", "p4")] == [410, 410]
        assert clock_of(amended, world.receipts(), channel).status is Status.MET
        assert world.reconcile(channel, *WHY, code=0)["reissued"] == 0
    world.tamper("gsxt", "UPDATE record SET is_public = 1, content = '{}' WHERE correlation_id = ?",
                 entity_id("market", "p4"))  # fmt: skip
    assert world.reconcile("gsxt", *WHY, code=1)["reissued"] == 1
    world.settle()
    status, problem = world.public("gsxt", "p4")
    assert (status, problem["reason"]) == (410, f"公示期满：公示期限至{OVER}")
    world.happen("p4", "enforcement.penalty.amended", 3, publish_until=UNTIL)
    world.settle()
    assert [world.public(channel, "p4")[0] for channel in CHANNELS] == [200, 200]
    assert world.reconcile("gsxt", code=0)["same"] == 1


def test_what_differs_is_found_and_mended_on_record(world: World) -> None:
    for row in ("a", "b", "c", "d"):
        world.happen(row, "enforcement.penalty.recorded", 1)
    world.settle()
    world.happen("b", "enforcement.penalty.amended", 2, penalty_content="更正")
    world.happen("c", "enforcement.penalty.withdrawn", 2)
    world.settle()
    assert world.reconcile("gsxt", code=0) == {
        "channel": "gsxt", "same": 3, "under_way": 0, "reissued": 0, "differences": [],
    }  # fmt: skip
    ids = {row: entity_id("market", row) for row in "abcd"}
    world.tamper("gsxt", "UPDATE record SET is_public = 0, content = NULL WHERE correlation_id = ?", ids["a"])
    world.tamper("gsxt", "UPDATE record SET sequence = 1, content = '{}' WHERE correlation_id = ?", ids["b"])
    world.tamper("gsxt", "UPDATE record SET is_public = 1, content = '{}' WHERE correlation_id = ?", ids["c"])
    world.tamper("gsxt", "UPDATE record SET correlation_id = 'made-by-hand' WHERE correlation_id = ?", ids["d"])
    found = {each["correlation_id"]: each for each in world.reconcile("gsxt", code=1)["differences"]}
    assert {entity: (each["kind"], each["remedy"]) for entity, each in found.items()} == {
        ids["a"]: ("missing", "publish"), ids["b"]: ("other-version", "amend"), ids["c"]: ("still-public", "withdraw"),
        ids["d"]: ("missing", "publish"), "made-by-hand": ("unknown", None),
    }  # fmt: skip
    said = world.hub("reconcile", "gsxt").stdout
    assert "应公示而未公示" in said and "不一致 / differ: 5" in said
    for wrong in (["--mend"], ["--mend", "--reason", "x"], ["--mend", "--reason", " ", "--by", "张三"]):
        assert world.hub("reconcile", "gsxt", *wrong).exit_code == 2
    assert world.hub("reconcile", "radio").exit_code == 2

    assert world.reconcile("gsxt", *WHY, code=1)["reissued"] == 4
    world.settle()
    left = world.reconcile("gsxt", code=1)
    assert [each["kind"] for each in left["differences"]] == ["unknown"] and left["same"] == 3
    assert world.public("gsxt", "b")[1]["content"]["penalty_content"] == "更正"
    assert [world.public("gsxt", row)[0] for row in "abcd"] == [200, 200, 410, 200]
    world.tamper("gsxt", "DELETE FROM record WHERE correlation_id = 'made-by-hand'")
    assert world.reconcile("gsxt", *WHY, code=0)["reissued"] == 0
    assert world.reconcile("creditchina", code=0)["same"] == 3, "the other channel was not touched"

    shown = world.hub("show", ids["a"])
    assert shown.exit_code == 0 and "again for 张三: 页面缺失 -> published" in shown.stdout
    of_subject = json.loads(world.hub("show", SUBJECT, "--json").stdout)
    assert {(each["channel"], each["state"]) for each in of_subject} >= {("gsxt", "public"), ("gsxt", "withdrawn")}
    assert len(of_subject) == 8
    assert world.hub("show", "91623001MA99ABC10Q").exit_code == 1
    assert world.hub("list").stdout.splitlines() == [
        "creditchina\tpublic 3, withdrawn 1", "gsxt\tpublic 3, withdrawn 1",
    ]  # fmt: skip
    assert len(world.hub("list", "gsxt").stdout.splitlines()) == 3


def test_a_withdrawal_that_is_refused_is_shown_and_keeps_its_clock_open_until_it_is_carried_out(world: World) -> None:
    world.happen("w", "enforcement.penalty.recorded", 1)
    world.settle()
    world.plans["gsxt"].set(Faults(spoiled_subjects=[SUBJECT]))
    gone = world.happen("w", "enforcement.penalty.withdrawn", 2)
    world.settle()
    assert (world.public("gsxt", "w")[0], world.public("creditchina", "w")[0]) == (200, 410)
    listed = world.hub("list")
    assert listed.exit_code == 1 and "gsxt\tstuck 1" in listed.stdout.splitlines()
    (said,) = [line for line in listed.stdout.splitlines() if line.startswith("!")]
    assert "withdrawal refused, may be public still" in said and "不予受理" in said and SUBJECT in said
    states = {name: clock_of(gone, world.receipts(), name).status for name in CHANNELS}
    assert states == {"gsxt": Status.RUNNING, "creditchina": Status.MET}

    assert world.hub("withdraw", "gsxt", "--reason", " ", "--by", "张三").exit_code == 2
    assert world.hub("withdraw", "radio", "--reason", "已恢复", "--by", "张三").exit_code == 2
    world.plans["gsxt"].set(Faults())
    again = world.hub("withdraw", "gsxt", "--reason", "已恢复", "--by", "张三", "--json")
    assert document_of(again) == {"channel": "gsxt", "reissued": 1}
    world.settle()
    assert world.public("gsxt", "w")[0] == 410 and world.hub("list").exit_code == 0
    assert clock_of(gone, world.receipts(), "gsxt").status is Status.MET
    assert document_of(world.hub("withdraw", "gsxt", "--reason", "r", "--by", "b", "--json"))["reissued"] == 0


def test_a_channel_that_does_not_answer_cannot_be_compared(world: World) -> None:
    world.plans["gsxt"].set(Faults(down=Fault(rate=1.0)))
    result = world.hub("reconcile", "gsxt")
    assert result.exit_code == 1 and "503" in result.stderr
