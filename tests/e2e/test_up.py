"""``hub up`` kept up, and everything outside that may look at it: clients, tools, commands."""

from __future__ import annotations

import json
import re
import shutil
import sqlite3
import subprocess
import urllib.request
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from cloudevents.core.bindings.kafka import KafkaMessage, from_binary_event
from confluent_kafka.schema_registry import SchemaRegistryClient
from confluent_kafka.schema_registry.avro import AvroDeserializer
from confluent_kafka.serialization import MessageField, SerializationContext

from hub.bus.publisher import KafkaPublisher
from hub.bus.reader import read_topics
from hub.bus.records import Output, Record
from hub.contracts.catalog import Catalog
from hub.contracts.cloudevents import to_headers
from hub.contracts.map import HubMap
from hub.demo import prepare, reports
from hub.domain.calendar import local_date
from hub.domain.events import Envelope, entity_id, event_id
from hub.domain.identifiers import is_id_card, is_uscc
from hub.sandbox.generate.manifest import Manifest
from hub.settings import PROJECT_ROOT
from tests.support_asyncapi import as_described, as_live
from tests.support_hub import (
    HubProcess,
    get_json,
    hub,
    hub_json,
    is_at_rest,
    processes_of,
    reported_to_the_province,
    wait_for_nothing_left,
)

ROWS, SEED = 600, 11
#: Nobody sends these in a season of the three departments.
UNUSED = {
    "enforcement.coercions.v1", "licensing.permits.v1", "clock.alerts.v1", "clock.terms.v1", "supervision.filings.v1",
    "enforcement.referrals.v1", "credit.repairs.v1",
    # Every notice gets through, so nothing waits, nobody is warned and nobody asks for anything.
    "delivery.waits.v1", "delivery.alerts.v1", "delivery.commands.v1",
    # No department of the season hands in by HTTP.
    "source.keys.v1",
    # All of the season have a valid code, nobody signs manifests, none has to speak at a time, no two tell one fact.
    "identity.enterprises.v1", "identity.waits.v1", "identity.decisions.v1", "intake.manifests.v1", "intake.alerts.v1",
    "intake.witnesses.v1",
    # No department's program has a key.
    "access.keys.v1",
    # No source of the season has a way back up.
    "uplink.receipts.v1",
}  # fmt: skip
_ID_LIKE = re.compile(r"(?<![0-9A-Za-z])\d{17}[0-9Xx](?![0-9A-Za-z])")
#: A trader of the generator's making; the code is valid in form and belongs to nobody.
GRANT = {
    "region_code": "623001",
    "department_code": "116230019901000185",
    "department_name": "合作市市场监督管理局",
    "party_kind": "02",
    "is_public": True,
    "grant_number": "合市监扶〔2026〕001号",
    "grant_kind": "2",
    "granted_date": "2026-07-20",
    "policy_name": "小微企业一次性补贴",
    "grant_content": "一次性补贴1.5万元",
    "grant_amount": "1.5",
    "granting_body": "合作市市场监督管理局",
}


class Season:
    """The hub at rest after a season: what tests ask for, read once."""

    def __init__(self, process: HubProcess, manifest: Manifest) -> None:
        self.process, self.manifest, self.data = process, manifest, process.data
        self.catalog = Catalog.load(PROJECT_ROOT)
        self.map = HubMap.load(PROJECT_ROOT / "topics.yaml", self.catalog, PROJECT_ROOT / "reference")
        self.addresses = process.addresses
        self.bootstrap, self.web = process.bootstrap, str(self.addresses["web"])
        self.wait_for_rest()
        # Asked before any test adds something of its own.
        self.at_rest = {name: hub_json(self.data, *name.split()) for name in (
            "lag", "tally", "dead-letters list", "topics plan", f"trace --subject {manifest.traced.uscc}",
        )}

    def read(self, *topics: str) -> list[Record]:
        return list(read_topics(self.bootstrap, topics or list(self.map.topics)))

    def firsts(self) -> dict[str, Record]:
        """Topic -> one of its records; topics without one and dead letters are left out."""
        found: dict[str, Record] = {}
        for record in self.read():  # the first: what a test has spoiled stands behind it
            found.setdefault(record.topic, record)
        return {topic: record for topic, record in found.items() if not topic.endswith(".dead-letters.v1")}

    def wait_for_rest(self) -> None:
        self.process.wait_until(lambda: is_at_rest(self.process), "rest")


@pytest.fixture(scope="module")
def season(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Season]:
    folder = tmp_path_factory.mktemp("up")
    manifest = prepare(folder / "data", seed=SEED, size=ROWS, ends_on=local_date(datetime.now(UTC)))
    process = HubProcess(folder / "data", folder / "console.log")
    try:
        process.start()
        process.wait_until(lambda: len(reports(process.data)) == len(manifest.files), "the reports")
        yield Season(process, manifest)
        process.terminate(40)
        assert processes_of(process.data) == [], "SIGTERM ends everything"
        wait_for_nothing_left(process.data, 0.0)
        assert not (process.data / "run.json").exists()
    finally:
        process.close()


def test_at_rest_nothing_is_behind_and_everything_has_an_end(season: Season) -> None:
    lag = season.at_rest["lag"]
    assert {entry["lag"] for entry in lag} == {0}
    assert {entry["group"] for entry in lag} == {
        "hub-routing", *(f"hub-disclosure-{name}" for name in season.map.channels), "hub-clocks",
        *(f"hub-delivery-{name}" for name in season.map.subscriptions), "hub-ledger",
    }  # fmt: skip
    tally = season.at_rest["tally"]
    assert tally["is_settled"] and tally["dead_letters"] == {}
    assert tally["accepted"] == season.manifest.totals["new"] + season.manifest.totals["amended"]
    assert season.at_rest["dead-letters list"] == [] and season.at_rest["topics plan"] == []


def test_the_way_of_an_enterprise_and_of_an_event(season: Season) -> None:
    steps = season.at_rest[f"trace --subject {season.manifest.traced.uscc}"]
    topics = {step["topic"] for step in steps}
    assert topics >= {
        "inspection.results.v1", "enforcement.penalties.v1", "blacklist.notices.v1", "routing.decisions.v1",
        "disclosure.orders.v1", "disclosure.receipts.v1", "inbox.government-procurement", "delivery.receipts.v1",
        "discipline.feedback.v1", "clock.signals.v1", "clock.states.v1",
    }  # fmt: skip
    facts = [step for step in steps if step["topic"] in season.map.routed_topics()]
    assert [step["type"] for step in facts] and len(facts) == len(season.manifest.traced.steps)
    listing = next(step for step in facts if step["type"] == "blacklist.notice.listed")
    of_event = hub_json(season.data, "trace", listing["id"])
    assert {step["correlation_id"] for step in of_event} == {listing["correlation_id"]}
    # In the order of time: the fact first, the decision on it before the notice's answer.
    order = [step["topic"] for step in of_event]
    assert order[0] == "blacklist.notices.v1"
    assert order.index("routing.decisions.v1") < order.index("discipline.feedback.v1")
    assert hub(season.data, "trace", event_id("/sources/nobody", "nothing", 1)).returncode == 1


def test_clocks_are_listed_and_explained(season: Season) -> None:
    clocks = hub_json(season.data, "clocks", "list")
    found = {clock["rule"] for clock in clocks}
    assert found <= set(season.map.clocks)
    # All that an event of the season starts; and those of each period, which the calendar starts.
    carried = {event for topic in set(season.map.topics) - UNUSED for event in season.map.topics[topic].events}
    steps = {f"complaint.lead.{step}" for step in ("suspended", "resumed", "mediated", "verified", "told")}
    by_hand = {"support.grant.recorded", "support.grant.amended"}
    assert found >= {
        name
        for name, rule in season.map.clocks.items()
        if rule.per != "period" and set(rule.starts_on) & (carried - steps - by_hand)
    }
    chosen = next(clock for clock in clocks if clock["rule"] == "disclose-inspection-result")
    said = hub_json(season.data, "clocks", "explain", chosen["clock_id"])
    assert said["clock"]["clock_id"] == chosen["clock_id"]
    assert "20个工作日" in said["rule"]["basis"]
    assert said["days_off"]


def test_an_event_by_hand_is_disclosed(season: Season, tmp_path: Path) -> None:
    enterprise = season.manifest.traced
    grant = GRANT | {"record_unique_identity": "grant-1", "party_name": enterprise.name, "party_uscc": enterprise.uscc}
    file = tmp_path / "grants.jsonl"
    file.write_text(json.dumps(grant, ensure_ascii=False) + "\n", encoding="utf-8")
    said = hub_json(season.data, "publish", "support.grant.recorded", str(file))
    assert said == {"topic": "support.grants.v1", "ids": [event_id("/sources/manual", "support.grants.v1|grant-1", 1)]}
    found = _wait_for_public(season, entity_id("/sources/manual", "support.grants.v1|grant-1"))
    assert found["content"]["granted_date"] == "2026-07-20"
    assert found["content"]["grant_amount"] == "1.500000"
    # Not one event of a file that has a fault, and the fault is named with its line.
    file.write_text(json.dumps(grant | {"granted_date": "20 July"}, ensure_ascii=False), encoding="utf-8")
    refused = hub(season.data, "publish", "support.grant.recorded", str(file))
    assert refused.returncode == 1 and f"{file}:1: granted_date" in refused.stderr


def test_a_registry_client_decodes_every_topic(season: Season) -> None:
    with SchemaRegistryClient({"url": f"{season.web}/registry"}) as client:
        subjects = set(client.get_subjects())
        described = {name for name, topic in season.map.topics.items() if topic.schema_ is not None}
        assert subjects >= {f"{name}-value" for name in described}
        decode = AvroDeserializer(client)
        firsts = season.firsts()
        assert set(firsts) >= described - UNUSED - {"support.grants.v1"}
        for topic, record in firsts.items():
            if topic in season.map.topics and topic not in described:
                continue
            value = decode(record.value, SerializationContext(topic, MessageField.VALUE))
            assert value is not None and record.value is not None
            # Confluent's own reader and the hub's make the same of it.
            assert value == season.catalog.decode(record.value)[1], topic


def test_the_asyncapi_document_is_what_the_cluster_has(season: Season) -> None:
    document = get_json(f"{season.web}/asyncapi.json")
    described = as_described(document)
    assert set(described) == set(season.map.topics)
    assert as_live(season.bootstrap, described) == described
    ids = {name: message["x-schema-id"] for name, message in document["components"]["messages"].items()
           if "x-schema-id" in message}
    for topic, record in season.firsts().items():
        assert record.value is None or int.from_bytes(record.value[1:5], "big") == ids[topic], topic


def test_the_cloudevents_sdk_reads_every_topic(season: Season) -> None:
    firsts = season.firsts()
    assert set(firsts) >= set(season.map.topics) - UNUSED - {"support.grants.v1"} - {
        name for name in season.map.topics if name.endswith(".dead-letters.v1")
    }
    for topic, record in firsts.items():
        # A probe of the log has no content; the other records of its kind are those that nobody could process.
        assert record.key is not None and (record.value is not None or topic == "ops.probes.v1")
        event = from_binary_event(KafkaMessage(dict(record.headers), record.key, record.value or b""))
        assert event.get_specversion() == "1.0"
        assert event.get_id() and event.get_source().startswith("/")
        assert event.get_datacontenttype() == "application/avro"
        assert event.get_type() in season.map.topics[topic].events or topic.startswith("inbox.")
        assert event.get_extension("correlationid")
        assert event.get_time() is not None


def test_kcat_reads_keys_and_headers(season: Season) -> None:
    kcat = shutil.which("kcat")
    if kcat is None:
        pytest.skip("kcat is not installed on this machine; the two clients above read the same records.")
    topic, record = "blacklist.notices.v1", season.firsts()["blacklist.notices.v1"]
    place = ["-t", topic, "-p", str(record.partition), "-o", str(record.offset), "-c", "1", "-f", "%k %h"]
    done = subprocess.run(
        [kcat, "-b", season.bootstrap, "-C", "-q", *place], capture_output=True, text=True, timeout=60, check=True
    )
    key, _, said = done.stdout.partition(" ")
    headers = {name: value.decode() for name, value in record.headers}
    assert record.key is not None and key == record.key.decode()
    for name, value in headers.items():
        assert f"{name}={value}" in said


def test_no_personal_number_and_no_secret_leaves_its_place(season: Season) -> None:
    records = season.read()
    numbers = _certificates(season, records)
    assert len(numbers) > 10, "the season has no personal numbers: this test would look for nothing"
    secrets = _secrets(season.data)
    assert len(secrets) >= 3

    places = {str(log): log.read_text("utf-8", "replace") for log in (season.data / "stages").glob("*.log")}
    places["console"] = season.process.console.read_text("utf-8", "replace")
    places["register"] = _dump(season.data / "sandbox" / "disclosure.sqlite")
    assert len(places["register"]) > 100_000
    places["keys and headers"] = "\n".join(
        " ".join(
            [(record.key or b"").decode("utf-8", "replace"), *(v.decode("utf-8", "replace") for _, v in record.headers)]
        )
        for record in records
    )
    # What goes to departments' clerks and to the public has been through a view or a mask.
    hub_own = ("intake.rejections.v1", "disclosure.orders.v1", "disclosure.receipts.v1")
    places["rejections, orders and receipts"] = "\n".join(
        (record.value or b"").decode("utf-8", "replace") for record in records
        if record.topic in hub_own and not _is_for_the_province(season, record)
    )
    channels = season.data / "sandbox" / "channels"
    places["credit china"] = _dump(channels / "creditchina" / "credit-china.sqlite")
    places["website"] = "\n".join(page.read_text("utf-8") for page in (channels / "website").rglob("*.html"))
    assert all(len(places[name]) > 10_000 for name in ("credit china", "website"))
    for place, text in places.items():
        assert not [found for found in _ID_LIKE.findall(text) if is_id_card(found) and not is_uscc(found)], place
        assert not [number for number in numbers if number in text], place
        assert not [name for name, secret in secrets.items() if secret in text], place


def test_what_is_reported_to_the_province_names_its_party_and_nobody_else(season: Season) -> None:
    orders = [record for record in season.read("disclosure.orders.v1") if _is_for_the_province(season, record)]
    numbers, kept = _certificates(season, season.read()), 0
    for record in orders:
        order = season.catalog.decode(record.value or b"")[1]
        content = dict(season.catalog.decode(order["data"])[1])
        number = content.pop("party_certificate_number", None)
        kept += number is not None
        assert number is None or not content["party_uscc"]
        assert not [each for each in numbers if each in str(content)]
    assert kept > 0, "no natural person is among them: this test would look for nothing"
    assert len(reported_to_the_province(season.data)) > 100


def test_the_website_can_be_looked_at(season: Season) -> None:
    page = season.addresses["sandbox"]["channels"]["website"]
    with urllib.request.urlopen(page, timeout=20) as answer:
        assert "涉企信息公示" in answer.read().decode()
    with urllib.request.urlopen(f"{page}feed.xml", timeout=20) as answer:
        assert answer.headers["Content-Type"].startswith("application/atom+xml")
        assert answer.read().count(b"<entry>") == 50


def test_a_poison_record_is_set_aside_and_its_followers_pass(season: Season) -> None:
    subject = season.manifest.traced.uscc
    poison = _inspection_headers(season, subject, "poison-1")
    bad = Output("inspection.results.v1", subject.encode(), b"\x00\x00\x00\x00\x01garbage", poison[1])
    good = next(record for record in season.read("inspection.results.v1") if (record.key or b"") == subject.encode())
    follower = _inspection_headers(season, subject, "follower-1")
    publisher = KafkaPublisher(season.bootstrap, client_id="test")
    try:
        publisher.publish([bad, Output(good.topic, good.key, good.value, follower[1])])
    finally:
        publisher.close()
    # The same subject, so the same partition: the follower was behind the poison.
    _wait_for_public(season, follower[0].correlation_id)
    letters = hub_json(season.data, "dead-letters", "list", code=1)
    assert [letter["id"] for letter in letters] == [poison[0].id]
    place = letters[0]["place"]
    assert place.startswith("routing.dead-letters.v1:") and letters[0]["from"].startswith("inspection.results.v1:")
    shown = hub_json(season.data, "dead-letters", "show", place)
    assert shown["bytes"] == len(bad.value or b"") and shown["reason"]
    assert "garbage" not in json.dumps(shown)
    raw = season.read("routing.dead-letters.v1")
    assert [(letter.key, letter.value) for letter in raw] == [(bad.key, bad.value)]

    hub_json(season.data, "dead-letters", "redrive", place, "--reason", "再试一次")
    season.process.wait_until(lambda: len(season.read("routing.dead-letters.v1")) == 2, "the second refusal")
    season.wait_for_rest()
    tally = hub_json(season.data, "tally")
    assert tally["is_settled"] and tally["dead_letters"] == {"routing.dead-letters.v1": 1}


def _wait_for_public(season: Season, entity: str) -> dict[str, Any]:
    """The public record of an entity on the first channel, when it has come there."""
    found: list[dict[str, Any]] = []
    url = f"{season.addresses['sandbox']['disclosure']}/api/v1/records?channel=gsxt"

    def is_there() -> bool:
        records = get_json(url)["records"]
        found[:] = [record for record in records if record["correlation_id"] == entity]
        return bool(found)

    season.process.wait_until(is_there, f"{entity} to be public")
    return found[0]


def _is_for_the_province(season: Season, record: Record) -> bool:
    """Whether it is an order of the one channel that may know whose number it is."""
    if record.topic != "disclosure.orders.v1":
        return False
    return bool(season.catalog.decode(record.value or b"")[1]["channel"] == "province")


def _inspection_headers(season: Season, subject: str, key: str) -> tuple[Envelope, list[tuple[str, bytes]]]:
    source = "/sources/manual"
    envelope = Envelope(
        id=event_id(source, key, 1),
        source=source,
        type="inspection.result.recorded",
        subject=subject,
        time=datetime.now(UTC),
        correlation_id=entity_id(source, key),
        sequence=1,
    )
    return envelope, to_headers(envelope)


def _certificates(season: Season, records: list[Record]) -> set[str]:
    """Every certificate number that the facts hold."""
    found = set[str]()

    def collect(value: object) -> None:
        match value:
            case dict():
                for name, item in value.items():
                    if name.endswith("certificate_number") and isinstance(item, str):
                        found.add(item)
                    collect(item)
            case list():
                for item in value:
                    collect(item)

    for record in records:
        if record.topic in season.map.routed_topics() and record.value is not None:
            collect(season.catalog.decode(record.value)[1])
    return {number for number in found if is_id_card(number)}


def _secrets(data: Path) -> dict[str, str]:
    identity = json.loads((data / "sandbox" / "identity.json").read_text("utf-8"))
    found = {f"secret of {name}": secret.removeprefix("whsec_") for name, secret in identity["secrets"].items()}
    return found | {"subject secret": (data / "subject.secret").read_text("ascii").strip()}


def _dump(path: Path) -> str:
    with sqlite3.connect(path) as database:
        text = "\n".join(database.iterdump())
    database.close()
    return text
