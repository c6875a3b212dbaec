"""The desk of acts on a real Kafka, and ``hub acts``."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from typer.testing import CliRunner

from hub.bus.publisher import KafkaPublisher
from hub.bus.reader import read_topics
from hub.cli import on_record
from hub.cli.main import build
from hub.domain.acts import Actor
from hub.errors import BrokerError, InputError
from hub.ops.acts import ACTS_TOPIC, ActsDesk, Filter
from tests.support_contracts import IDENTITY_NUMBER, PHONE, catalog
from tests.support_identity import IDENTITY_TOPICS

if TYPE_CHECKING:
    from tests.conftest import CreateTopics, KafkaLike

LI, WANG = Actor("lisi", "command"), Actor("wangwu", "console", "market-supervision", "operator")


@pytest.fixture
def hub(kafka: KafkaLike, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Runs a command; the catalog, a second to load, is loaded once."""
    for name, value in {"BOOTSTRAP_SERVERS": kafka.bootstrap, "DATA": str(tmp_path), "LOG_LEVEL": "error"}.items():
        monkeypatch.setenv(f"HUB_{name}", value)
    monkeypatch.setattr("hub.wiring.acts.open_catalog", lambda settings: catalog())
    return lambda *arguments: CliRunner().invoke(build([arguments[0]]), list(arguments))


@pytest.fixture
def desk(kafka: KafkaLike, create_topics: CreateTopics) -> Iterator[ActsDesk]:
    create_topics(ACTS_TOPIC, partitions=1)
    with closing(KafkaPublisher(kafka.bootstrap, client_id="test")) as publisher:
        yield ActsDesk(kafka.bootstrap, publisher, catalog(), lambda: datetime.now(UTC))


def test_an_act_is_on_record_before_it_is_done_and_says_how_it_went(kafka: KafkaLike, desk: ActsDesk) -> None:
    with desk.acting("delivery.release", LI, "works-bidding", "已修复") as outcome:
        (request,) = desk.read()
        assert (request.state, request.asked.actor) == ("asked", "lisi")
        outcome.append("2 released")
    with pytest.raises(BrokerError), desk.acting("delivery.release", LI, "land-grants", "再试"):
        raise BrokerError(f"no broker for {IDENTITY_NUMBER}")
    done, failed = desk.read()
    assert done.ended and (done.state, done.ended.outcome) == ("done", "2 released")
    assert failed.ended and failed.state == "failed" and "BrokerError: no broker" in (failed.ended.outcome or "")
    values = [record.value or b"" for record in read_topics(kafka.bootstrap, [ACTS_TOPIC])]
    assert all(IDENTITY_NUMBER.encode() not in value for value in values)


def test_no_personal_number_gets_on_record(kafka: KafkaLike, desk: ActsDesk) -> None:
    desk.ask("record.look", LI, "91623000739699913A", f"电话{PHONE}核实{IDENTITY_NUMBER}", details=[("who", PHONE)])
    desk.look("record.look", LI, "91623000739699913A", f"电话{PHONE}")
    with pytest.raises(InputError, match="target"):
        desk.ask("record.look", LI, IDENTITY_NUMBER, "核实")
    values = [record.value or b"" for record in read_topics(kafka.bootstrap, [ACTS_TOPIC])]
    assert len(values) == 2
    assert all(number.encode() not in value for value in values for number in (PHONE, IDENTITY_NUMBER))
    assert [request.passed_over for request in desk.read()] == [(), ()]


def test_an_id_that_looks_like_a_telephone_is_an_id(kafka: KafkaLike, desk: ActsDesk) -> None:
    id_ = "1727b669-3837-57f1-9c99-17721196099a"
    asked = desk.ask("personal.data.look", LI, id_, f"核实{id_}", details=[("notice", id_)]).asked
    assert (asked.target, asked.reason, asked.details) == (id_, f"核实{id_}", (("notice", id_),))
    for other in (f"{PHONE[:8]}-{PHONE[8:]}00-17721196099", "17721196099", f"{id_}-17721196099"):
        with pytest.raises(InputError, match="target"):
            desk.look("personal.data.look", LI, other, "核实")


def test_acts_are_found_by_time_who_kind_and_target(desk: ActsDesk) -> None:
    first = desk.ask("dead-letter.redrive", LI, "routing.dead-letters.v1:0:1", "已修复").asked
    second = desk.ask("delivery.release", WANG, "works-bidding", "已修复", needs_second=True).asked
    desk.refuse(second.request_id, LI, "不必")

    def found(**wanted: Any) -> list[str]:
        return [request.asked.request_id for request in desk.read(Filter(**wanted))]

    assert found() == [first.request_id, second.request_id]
    assert found(who="Li Si") == [first.request_id, second.request_id]
    assert found(who="wangwu") == found(kind="delivery") == found(state="refused") == [second.request_id]
    assert found(target="routing.dead-letters.v1") == found(kind="dead-letter.redrive") == [first.request_id]
    assert found(since=datetime.now(UTC) + timedelta(hours=1)) == []
    assert found(until=first.at) == []


def test_of_two_who_approve_at_once_one_does(desk: ActsDesk) -> None:
    request = desk.ask("notices.replay", LI, "land-grants", "丢了数据", needs_second=True).asked
    with pytest.raises(InputError, match="another person"):
        desk.approve(request.request_id, Actor("LiSi", "console"), "同意")
    results: list[str] = []
    together = threading.Barrier(2)

    def approve(name: str) -> None:
        together.wait()
        try:
            results.append(desk.approve(request.request_id, Actor(name, "console"), "同意").approved_by or "")
        except InputError as error:
            results.append(str(error))

    threads = [threading.Thread(target=approve, args=(name,)) for name in ("wangwu", "zhaoliu")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    winner = desk.find(request.request_id).approved_by
    assert winner in ("wangwu", "zhaoliu")
    assert sorted(result == winner for result in results) == [False, True]
    assert any("already" in result for result in results)


def test_what_needs_two_is_carried_out_by_one_when_another_approved(desk: ActsDesk) -> None:
    request = desk.ask("notices.replay", LI, "land-grants", "丢了数据", needs_second=True)
    done: list[str] = []
    with pytest.raises(InputError, match="not approved"), desk.carrying_out(request, LI):
        done.append("alone")
    request = desk.approve(request.asked.request_id, WANG, "同意")
    with desk.carrying_out(request, LI):
        done.append("approved")
    with pytest.raises(InputError, match="done already"), desk.carrying_out(desk.find(request.asked.request_id), LI):
        done.append("twice")
    assert done == ["approved"]


def test_by_command_the_second_person_has_another_account(
    desk: ActsDesk, hub: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert hub("acts", "list").exit_code == 0
    # What a person may set for himself makes nobody else of him.
    user = on_record.machine_user()
    for name in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.setenv(name, "somebody-else")
    assert on_record.machine_user() == user
    asked = desk.ask("notices.replay", Actor(user, "command"), "land-grants", "丢了数据", needs_second=True).asked
    waiting = hub("acts", "list", "--json")
    assert waiting.exit_code == 1 and json.loads(waiting.output)[0]["status"] == "asked"
    refused = hub("acts", "approve", asked.request_id[:8], "--reason", "同意")
    assert (refused.exit_code, "another person" in refused.output) == (1, True)
    monkeypatch.setattr("hub.cli.on_record.machine_user", lambda: "wangwu")
    assert hub("acts", "approve", asked.request_id, "--reason", " ").exit_code == 1
    assert hub("acts", "approve", asked.request_id, "--reason", "同意").exit_code == 0
    assert hub("acts", "refuse", asked.request_id, "--reason", "不同意").exit_code == 1
    shown = hub("acts", "show", asked.request_id)
    assert "approved" in shown.output and "wangwu" in shown.output
    assert hub("acts", "show", "nothing").exit_code == 1
    assert hub("acts", "list", "--state", "gone").exit_code == 2


def test_a_command_that_goes_wrong_is_on_record_too(
    desk: ActsDesk, hub: Any, create_topics: CreateTopics
) -> None:
    create_topics(*IDENTITY_TOPICS, partitions=1)
    nothing = hub("identity", "waiting", "reject", "nothing", "--reason", "无法确认", "--by", "李四")
    assert nothing.exit_code != 0
    (request,) = desk.read()
    assert (request.asked.kind, request.asked.target, request.state) == ("identity.reject", "nothing", "failed")
    assert request.asked.details == (("by", "李四"),)
    assert request.ended is not None and "nothing" in (request.ended.outcome or "")
