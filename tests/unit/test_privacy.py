"""Privacy by contract: every schema through every view, from the event to all that leaves delivery.

Each free text of an event is a mark of its own. What a view takes away or masks must not be found in anything that
is written or sent for it; what a view lets through may stand in the body alone: never in a key, a header, a log line,
a receipt or the reason of a dead letter.
"""

from __future__ import annotations

import json
import tempfile
import zipfile
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs

from hub.bus.http_client import Answer
from hub.bus.records import Output, Record
from hub.contracts.codec import Schema
from hub.contracts.fields import Field
from hub.contracts.map import HubMap
from hub.contracts.views import action_for
from hub.delivery.direct import Acknowledged
from hub.delivery.engine import DeliveryEngine
from hub.delivery.filedrop.box import Packing
from hub.delivery.rights import rights_of
from hub.delivery.webhook import WebhookEndpoint, WebhookTransport
from hub.domain.parties import counts_as_person
from hub.domain.webhook import new_secret
from hub.routing.stage import RoutingStage
from tests.support_contracts import IDENTITY_NUMBER, PHONE, catalog, records, sample
from tests.support_delivery import Desk, NoIndex
from tests.support_filedrop import Drop, table
from tests.support_outlets import QUICK
from tests.unit.test_routing import changed_map, event, hub_map

VIEWS = ("public", "partner", "full")
#: Topics whose events departments subscribe to, by schema.
TOPICS = {
    topic.schema_: name for name, topic in hub_map().topics.items()
    if topic.schema_ is not None and not topic.schema_.startswith(("hub/", "clock/")) and topic.events
}


@pytest.fixture(scope="module")
def wide_map(tmp_path_factory: pytest.TempPathFactory) -> HubMap:
    """The project's map, in which somebody subscribes to everything in each view."""

    def subscribe(raw: dict[str, Any]) -> None:
        for number, topic in enumerate(TOPICS.values()):
            for view in VIEWS:
                raw["subscriptions"][f"s{number}-{view}"] = {
                    "title": "试验", "department": "finance", "from": topic, "events": raw["topics"][topic]["events"],
                    "view": view, "purpose": "试验", "basis": "试验",
                }

    folder: Path = tmp_path_factory.mktemp("map")
    return changed_map(folder, subscribe)


class Refusing:
    """Stands for the HTTP client: notes what would go out on the wire, and refuses it."""

    def __init__(self) -> None:
        self.bodies: list[bytes] = []
        self.heads: list[str] = []

    async def request(self, method: str, url: str, *, body: bytes, headers: Mapping[str, str], **_: Any) -> Answer:
        self.bodies.append(body)
        self.heads.append(f"{method} {url} {headers}")
        return Answer(422, b"")

    async def close(self) -> None: ...


def marked(fields: tuple[Field, ...], value: dict[str, Any], marks: dict[str, Field], number: list[int]) -> None:
    """Puts a mark into every free text of ``value`` that has room for one."""
    for field in fields:
        content = value[field.name]
        if field.items:
            for each in content or ():
                marked(field.items, each, marks, number)
        elif (
            field.type == "string" and not field.is_array and content is not None and field.code_list is None
            and field.name not in ("department_code", "party_uscc") and (field.max_length or 99) >= 8
        ):
            number[0] += 1
            mark = f"牦{number[0]:06d}牛"
            marks[mark], value[field.name] = field, mark


def what_is_hidden(marks: Mapping[str, Field], view: str, is_person: bool) -> Iterator[str]:
    for mark, field in marks.items():
        privacy = (field.privacy_natural_person if is_person else None) or field.privacy
        if any(action_for(each, field.mask is not None, view) != "keep" for each in (field.privacy, privacy)):
            yield mark


@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize("name", TOPICS)
@settings(max_examples=12, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_nothing_outside_the_view_leaves(wide_map: HubMap, name: str, view: str, data: st.DataObject) -> None:
    schema = catalog().schema(name)
    value = data.draw(records(schema))
    marks: dict[str, Field] = {}
    marked(schema.fields, value, marks, [0])
    hidden = set(what_is_hidden(marks, view, counts_as_person(value)))
    topic = TOPICS[name]
    (happened,) = RoutingStage(wide_map, catalog()).handle([event(topic, hub_map().topics[topic].events[0], **value)])
    subscription = f"s{list(TOPICS).index(name)}-{view}"
    (inbox,) = [output for output in happened if output.topic == f"inbox.{subscription}"]

    client, outputs, lines = deliver(subscription, inbox)
    directly, more_lines = acknowledge(subscription, inbox)
    outputs, lines = [*outputs, *directly], [*lines, *more_lines]
    (body,) = client.bodies
    assert json.loads(body)["data"]["view"] == view
    for mark in hidden:
        assert mark.encode() not in body, marks[mark].name
        for output in (inbox, *outputs):
            assert mark.encode() not in (output.value or b""), (output.topic, marks[mark].name)
    around = [*client.heads, *lines, *(f"{output.key!r} {output.headers}" for output in (inbox, *outputs))]
    around += [str(catalog().decode(output.value or b"")[1]) for output in outputs if "receipts" in output.topic]
    for mark in marks:
        # Bytes are shown escaped where a client prints them.
        assert not any(mark in text or str(mark.encode())[2:-1] in text for text in around), marks[mark].name
    if view != "full":
        assert IDENTITY_NUMBER.encode() not in body
    assert not any(secret in text for secret in (IDENTITY_NUMBER, PHONE) for text in around)


@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize("name", TOPICS)
@settings(max_examples=4, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_nothing_outside_the_view_stands_in_a_file(
    wide_map: HubMap, name: str, view: str, data: st.DataObject,
) -> None:
    """The same of packages: names and contents of all files, compressed or not, the hub's own ledger among them."""
    schema = catalog().schema(name)
    value = data.draw(records(schema))
    marks: dict[str, Field] = {}
    marked(schema.fields, value, marks, [0])
    hidden = set(what_is_hidden(marks, view, counts_as_person(value)))
    topic = TOPICS[name]
    (happened,) = RoutingStage(wide_map, catalog()).handle([event(topic, hub_map().topics[topic].events[0], **value)])
    subscription = f"s{list(TOPICS).index(name)}-{view}"
    (inbox,) = [output for output in happened if output.topic == f"inbox.{subscription}"]
    with tempfile.TemporaryDirectory() as root, capture_logs() as logs:
        written, files = drop_out(Path(root), subscription, inbox, data.draw(st.sampled_from(["xlsx", "csv"])))
    texts = [content.decode() for path, content in files.items() if path.endswith(".jsonl")]
    tables = [content for path, content in files.items() if not path.endswith((".jsonl", ".json", ".sig"))]
    assert len(texts) == 1 and tables
    for mark in hidden:
        for path, content in files.items():
            assert mark.encode() not in content and mark not in path, (path, marks[mark].name)
    beside = [content.decode() for path, content in files.items() if path.endswith((".json", ".sig"))]
    beside += [*files, json.dumps(logs, default=str, ensure_ascii=False)]
    beside += [str(catalog().decode(output.value or b"")[1]) for output in written]
    for mark in marks:
        assert not any(mark in text for text in beside), marks[mark].name
    shown = [mark for mark in marks if mark not in hidden and mark in texts[0]]
    assert all(any(mark.encode() in content for content in tables) for mark in shown), "the table shows what it may"
    if view != "full":
        assert not any(IDENTITY_NUMBER.encode() in content for content in files.values())
    assert not any(secret in text for secret in (IDENTITY_NUMBER, PHONE) for text in beside)


def drop_out(root: Path, subscription: str, inbox: Output, form: Any) -> tuple[list[Output], dict[str, bytes]]:
    """What is written on the log and in the folders when a notice goes out as a file and is refused; workbooks
    unpacked."""
    drop = Drop(root, name=subscription, packing=Packing(window_seconds=0.001, form=form))
    try:
        drop.desk.take([Record(inbox.topic, 0, 1, 0, inbox.key, inbox.value, inbox.headers)])
        drop.desk.wait(lambda: (root / subscription / "outbox").exists() and bool(drop.department.names()))
        (package,) = drop.department.names()
        drop.department.put(f"{package}.ack.csv", table(("通知编号", "收到情况", "拒收原因"), ("全部", "拒收", "重复")))
        assert drop.look() == 1
    finally:
        drop.close()
    files: dict[str, bytes] = {}
    for path in root.rglob("*"):
        if path.suffix == ".xlsx":
            with zipfile.ZipFile(path) as book:
                files |= {f"{path.name}/{member}": book.read(member) for member in book.namelist()}
        elif path.is_file():
            files[str(path.relative_to(root))] = path.read_bytes()
    return [output for output in drop.desk.written if "receipts" in output.topic], files


def deliver(subscription: str, inbox: Output) -> tuple[Refusing, list[Output], list[str]]:
    """What goes out on the wire, what is written, and what is logged when a department refuses a notice, and when
    the same record comes damaged and ends as a dead letter."""
    client = Refusing()

    def now() -> datetime:
        return datetime.now(UTC)

    endpoint = WebhookEndpoint("https://department.example/hook", new_secret("ed25519"))
    transport = WebhookTransport(endpoint, now, client=client)
    engine = DeliveryEngine(subscription, transport, catalog(), now, NoIndex(), lambda _: iter(()), policy=QUICK)
    desk = Desk(engine)
    record = Record(inbox.topic, 0, 1, 0, inbox.key, inbox.value, inbox.headers)
    damaged = record._replace(offset=2, value=(inbox.value or b"")[:-1])
    try:
        with capture_logs() as logs:
            desk.handle([record, damaged])
    finally:
        desk.close()
    assert {output.topic for output in desk.written} >= {"delivery.receipts.v1", "delivery.waits.v1"}
    letters = [output for output in desk.written if output.topic == "delivery.dead-letters.v1"]
    assert len(letters) == 1
    return client, desk.written, [json.dumps(line, default=str, ensure_ascii=False) for line in logs]


def acknowledge(subscription: str, inbox: Output) -> tuple[list[Output], list[str]]:
    """What is written and logged when a department has read the record itself, and when it was a damaged one."""
    record = Record(inbox.topic, 0, 1, 0, inbox.key, inbox.value, inbox.headers)
    damaged = record._replace(offset=2, value=(inbox.value or b"")[:-1])
    acknowledged = Acknowledged([subscription], catalog(), lambda: datetime.now(UTC))
    with capture_logs() as logs:
        receipt, letter = map(acknowledged.receipt, (record, damaged))
    assert (receipt.topic, letter.topic) == ("delivery.receipts.v1", "delivery.dead-letters.v1")
    return [receipt, letter], [json.dumps(line, default=str, ensure_ascii=False) for line in logs]


def test_a_department_on_kafka_can_read_its_inbox_and_nothing_else() -> None:
    """What stands there is in its view and nothing more, as the test above shows of every record of an inbox."""
    readable = [right for right in rights_of("works") if right.operation == "READ" and right.kind == "TOPIC"]
    assert [right.name for right in readable] == ["inbox.works", "answer-problems.works"]
    assert not any(right.is_prefix for right in readable)
    assert {right.user for right in rights_of("works")} == {"dept-works"}
    assert [right for right in rights_of("works", is_paused=True) if right in readable] == readable[1:]
    # The only right by prefix is of groups, and no other subscription's group begins so.
    (prefix,) = [right for right in rights_of("works") if right.is_prefix]
    assert prefix.kind == "GROUP" and not "dept-works-bidding".startswith(prefix.name)


def test_the_marks_are_found_where_they_may_be(wide_map: HubMap) -> None:
    """The test above sees what it looks for: in the full view every mark arrives."""
    schema: Schema = catalog().schema("enforcement/penalty")
    value, marks = sample(schema), dict[str, Field]()
    marked(schema.fields, value, marks, [0])
    topic = TOPICS[schema.name]
    (happened,) = RoutingStage(wide_map, catalog()).handle([event(topic, "enforcement.penalty.recorded", **value)])
    subscription = f"s{list(TOPICS).index(schema.name)}-full"
    (inbox,) = [output for output in happened if output.topic == f"inbox.{subscription}"]
    client, _, _ = deliver(subscription, inbox)
    assert len(marks) > 10
    assert all(mark.encode() in client.bodies[0] for mark in marks)
    assert list(what_is_hidden(marks, "public", False))
