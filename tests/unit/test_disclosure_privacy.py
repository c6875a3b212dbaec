"""Privacy at the last door: every schema through every channel's view and every sink, down to the bytes on the wire.

Each free text of an event is a mark of its own. Nothing that the public may not see leaves in any form, and what is
masked has one form everywhere: two masks of one value could be laid over each other (个人信息保护法).
"""

from __future__ import annotations

import asyncio
import html
import json
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from connectors.provincial_uplink.acts import load_standard, row_of, withheld
from hub.bus.records import Record
from hub.contracts.fields import Field
from hub.contracts.map import HubMap
from hub.contracts.views import PARTY_NUMBER, mask
from hub.disclosure.config import ChannelConfig, build_sink
from hub.disclosure.orders import ORDERS_TOPIC, OrderReader, Read, check_disclosable
from hub.disclosure.receipts import ReceiptWriter
from hub.disclosure.registry import SINKS
from hub.disclosure.sink import Receipt
from hub.domain.parties import counts_as_person
from hub.errors import ContractError
from hub.routing.stage import RoutingStage
from tests.contract.sinks import HARNESSES, Harness, UplinkHarness
from tests.support_contracts import IDENTITY_NUMBER, PHONE, catalog, records, sample
from tests.support_outlets import NOW
from tests.unit.test_privacy import TOPICS, marked, what_is_hidden
from tests.unit.test_routing import changed_map, event, hub_map

CHANNELS = tuple(hub_map().channels)
PUBLIC = tuple(name for name, channel in hub_map().channels.items() if channel.audience == "public")
(PROVINCE,) = set(CHANNELS) - set(PUBLIC)


@pytest.fixture(scope="module")
def wide_map(tmp_path_factory: pytest.TempPathFactory) -> HubMap:
    """The project's map, in which everything is published on every channel."""

    def publish(raw: dict[str, Any]) -> None:
        raw["routes"] = {
            f"r{number}": {
                "title": "试验", "from": topic, "events": raw["topics"][topic]["events"], "channels": list(CHANNELS),
                "basis": "试验",
            }
            for number, topic in enumerate(TOPICS.values())
        }  # fmt: skip

    folder: Path = tmp_path_factory.mktemp("map")
    return changed_map(folder, publish)


def without_stars(value: Any) -> Any:
    """A drawn value whose only stars will be those of masks."""
    match value:
        case str():
            return value.replace("*", "十")
        case dict():
            return {name: without_stars(each) for name, each in value.items()}
        case list():
            return [without_stars(each) for each in value]
    return value


def orders_of(of: HubMap, name: str, value: dict[str, Any]) -> list[Read]:
    """The orders that routing makes of an event with this value, one for each channel."""
    topic = TOPICS[name]
    (outputs,) = RoutingStage(of, catalog()).handle([event(topic, hub_map().topics[topic].events[0], **value)])
    records = [
        Record(each.topic, 0, 1, 0, each.key, each.value, each.headers)
        for each in outputs if each.topic == ORDERS_TOPIC
    ]
    found = [
        OrderReader(catalog(), hub_map().channels[name].audience).read(record)
        for name, record in zip(CHANNELS, records, strict=True)
    ]
    assert [each.order.channel for each in found] == list(CHANNELS)
    return found


def bytes_of(made: type[Harness], folder: Path, read: Read) -> bytes:
    """What leaves for a channel by one sink when the order is sent, alone and with another."""
    given_settings = made(folder).settings()
    if "url" in given_settings:
        given_settings["url"] = "http://channel.example"
    channel = read.order.channel
    config = ChannelConfig.of(channel, "渠道", hub_map().channels[channel].view, made.name, given_settings, folder)

    async def send() -> bytes:
        harness, sink = made(folder), build_sink(config, catalog(), folder, lambda: NOW)
        try:
            return await harness.outgoing(sink, [read.order, read.order])
        finally:
            await sink.close()

    return asyncio.run(send())


def ways_of(text: str) -> tuple[str, ...]:
    """How a text may stand in what leaves."""
    return text, str(text.encode())[2:-1], html.escape(text), json.dumps(text)[1:-1]


def without(forms: Collection[str], sent: str) -> str:
    """What left, less all masks as JSON, CSV and pages write them."""
    rest = sent
    written = {
        way for form in forms if "*" in form
        for way in (*ways_of(form), json.dumps(form, ensure_ascii=False)[1:-1], form.replace('"', '""'))
    }
    for way in sorted(written, key=len, reverse=True):
        rest = rest.replace(way, "")
    return rest


def looked_at(
    wide_map: HubMap, name: str, value: dict[str, Any], marks: dict[str, Field],
    folders: pytest.TempPathFactory, harnesses: Sequence[type[Harness]],
) -> None:
    """Nothing that must not leave is in what leaves by these sinks."""
    hidden = set(what_is_hidden(marks, "public", counts_as_person(value)))
    forms = {"******", *(mask(field.mask or "hide", text) for text, field in marks.items())}
    orders = [read for read in orders_of(wide_map, name, value) if read.order.channel in PUBLIC]
    for made in harnesses:
        sent = bytes_of(made, folders.mktemp("sink"), orders[0]).decode()
        for text in hidden:
            assert not any(way in sent for way in ways_of(text)), (made.name, marks[text].name)
        assert not any(number in sent for number in (IDENTITY_NUMBER, IDENTITY_NUMBER[-4:] + '"', PHONE))
        assert "*" not in without(forms, sent), "one mask a kind, and no other"
    # The same on every channel: a sink does with it what it does for all, and two of them tell no more than one.
    assert all(read.order.content == orders[0].order.content for read in orders)


@pytest.mark.parametrize("party_kind", ["01", "02"])
@pytest.mark.parametrize("name", TOPICS)
def test_nothing_of_it_leaves_by_any_sink(
    wide_map: HubMap, tmp_path_factory: pytest.TempPathFactory, name: str, party_kind: str
) -> None:
    value = without_stars(sample(catalog().schema(name), party_kind=party_kind))
    marks: dict[str, Field] = {}
    marked(catalog().schema(name).fields, value, marks, [0])
    looked_at(wide_map, name, value, marks, tmp_path_factory, HARNESSES)


def test_every_sink_is_looked_at() -> None:
    assert {harness.name for harness in HARNESSES} == set(SINKS)
    assert {hub_map().channels[name].view for name in PUBLIC} == {"public"}


@pytest.mark.parametrize("name", TOPICS)
@settings(max_examples=6, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_nothing_that_the_public_may_not_see_leaves(
    wide_map: HubMap, tmp_path_factory: pytest.TempPathFactory, name: str, data: st.DataObject
) -> None:
    schema = catalog().schema(name)
    value = without_stars(data.draw(records(schema)))
    value["party_kind"] = data.draw(st.sampled_from(["01", "02"]))
    marks: dict[str, Field] = {}
    marked(schema.fields, value, marks, [0])
    looked_at(wide_map, name, value, marks, tmp_path_factory, HARNESSES)


@pytest.mark.parametrize("made", HARNESSES, ids=lambda made: made.name)
def test_the_marks_are_found_where_they_may_be(wide_map: HubMap, tmp_path: Path, made: type[Harness]) -> None:
    """The tests above see what they look for: what is public arrives, and a person's name as its mask.

    A channel with a template takes what has a column in it, and not every one of them takes persons.
    """
    schema = catalog().schema("enforcement/penalty")
    marks: dict[str, Field] = {}
    value = sample(schema, party_kind="01" if made.has_all else "02")
    name = value["party_name"]
    marked(schema.fields, value, marks, [0])
    hidden = set(what_is_hidden(marks, "public", made.has_all))
    sent = bytes_of(made, tmp_path, orders_of(wide_map, schema.name, value)[0]).decode()
    public = [text for text, field in marks.items() if text not in hidden and field.privacy == "public"]
    assert len(public) > 5 and hidden and value["party_name"] != name
    found = sum(any(way in sent for way in ways_of(text)) for text in public)
    assert found == len(public) if made.has_all else found >= 4
    shown = mask("name", value["party_name"]) if made.has_all else value["party_name"]
    assert any(way in sent for way in ways_of(shown))


@pytest.mark.parametrize("name", TOPICS)
@settings(max_examples=10, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_to_the_province_goes_the_number_of_the_party_and_no_other(
    wide_map: HubMap, tmp_path_factory: pytest.TempPathFactory, name: str, data: st.DataObject
) -> None:
    """What its order holds, and what leaves: personal numbers nowhere but in the one field that the standard requires,
    and there only of a party that has no code."""
    schema = catalog().schema(name)
    value = data.draw(records(schema))
    value["party_kind"] = data.draw(st.sampled_from(["01", "02"]))
    value["party_uscc"] = data.draw(st.sampled_from([None, "91623000739699913A", IDENTITY_NUMBER]))
    value[PARTY_NUMBER] = data.draw(st.sampled_from([None, IDENTITY_NUMBER, "E12345678"]))
    marks: dict[str, Field] = {}
    given_number = value[PARTY_NUMBER]
    marked(schema.fields, value, marks, [0])
    value[PARTY_NUMBER] = given_number
    hidden = set(what_is_hidden(marks, "uplink", counts_as_person(value)))
    (read,) = [each for each in orders_of(wide_map, name, value) if each.order.channel == PROVINCE]
    content = dict(read.order.content)
    has_code = value["party_kind"] == "02" and value["party_uscc"] == "91623000739699913A"
    assert content.pop(PARTY_NUMBER) == (None if has_code else given_number)
    assert content["party_uscc"] == ("91623000739699913A" if has_code else None)
    rest = str(content)
    assert not any(text in rest for text in (IDENTITY_NUMBER, IDENTITY_NUMBER[-8:], *hidden))
    assert set(content) == {field.name for field in catalog().projection(name, "uplink").schema.fields} - {PARTY_NUMBER}

    sent = bytes_of(UplinkHarness, tmp_path_factory.mktemp("sink"), read).decode()
    if not has_code:
        sent = sent.replace(f'"party_certificate_number":"{given_number}"', "")
    assert not any(text in sent for text in (IDENTITY_NUMBER, *hidden))


def test_the_number_of_a_person_arrives_in_the_province() -> None:
    """The test above sees what it looks for."""
    schema = catalog().schema("enforcement/penalty")
    read = catalog().projection(schema, "uplink").apply(sample(schema, party_kind="01", party_name="扎西东智"))
    assert (read[PARTY_NUMBER], read["party_uscc"], read["party_name"]) == (IDENTITY_NUMBER, None, "扎西东智")
    row = row_of(schema.name, read, catalog().projection(schema, "uplink").schema.fields, load_standard())
    assert row.values["party_certificate_number"] == IDENTITY_NUMBER
    # Not 001, which is a unified social credit code.
    assert load_standard().codes["certificate"]["01"] == "111" != load_standard().uscc_certificate
    kinds = {
        kind: row_of(schema.name, {**read, "party_certificate_kind": kind}, catalog().projection(
            schema, "uplink").schema.fields, load_standard()).values["party_certificate_kind"]
        for kind in catalog().codes["certificate-kind"].entries
    }
    assert len({*kinds.values(), load_standard().uscc_certificate}) == len(kinds) + 1, "no two of one code"
    assert withheld(load_standard().acts[schema.name], read) == []


@pytest.mark.parametrize("name", sorted(load_standard().acts))
def test_the_view_of_the_province_holds_every_column_that_the_standard_requires(name: str) -> None:
    fields = {field.name for field in catalog().projection(name, "uplink").schema.fields}
    assert withheld(load_standard().acts[name], fields) == []
    assert withheld(load_standard().acts[name], fields - {"region_code"}) == ["region_code"]


@pytest.mark.parametrize(("view", "audience"), [("uplink", "public"), ("partner", "public"), ("full", "government")])
def test_the_last_door_lets_no_wider_view_through(view: str, audience: str) -> None:
    schema = catalog().schema("enforcement/penalty")
    shown = catalog().projection(schema, view).schema
    with pytest.raises(ContractError, match=f"as {view}: no view for a channel whose audience is {audience}"):
        check_disclosable(shown, audience)
    check_disclosable(catalog().projection(schema, "public").schema, audience)
    check_disclosable(catalog().projection(schema, "uplink").schema, "government")


def test_what_a_channel_says_of_a_refusal_repeats_no_number(wide_map: HubMap) -> None:
    """A channel may quote the row that it refuses; its words go to receipts, logs and screens."""
    schema = catalog().schema("enforcement/penalty")
    (read,) = [
        each for each in orders_of(wide_map, schema.name, sample(schema, party_kind="01"))
        if each.order.channel == PROVINCE
    ]
    writer = ReceiptWriter(catalog(), lambda: NOW)
    record = Record(ORDERS_TOPIC, 0, 1, 0, b"key", b"", [])
    output = writer.write(record, read, Receipt("refused", reason=f"证件号码 {IDENTITY_NUMBER} 已存在"))
    assert catalog().decode(output.value or b"")[1]["reason"] == "证件号码 ****** 已存在"


@pytest.mark.parametrize("made", sorted(set(HARNESSES) - {UplinkHarness}, key=str), ids=lambda made: made.name)
def test_a_sink_for_the_public_serves_no_channel_of_the_government(made: type[Harness], tmp_path: Path) -> None:
    given_settings = {**made(tmp_path).settings(), "url": "http://channel.example"}
    given_settings = given_settings if "url" in made(tmp_path).settings() else made(tmp_path).settings()
    with pytest.raises(ContractError, match=f"channel c: connector: {made.name} is for the public"):
        ChannelConfig.of("c", "渠道", "uplink", made.name, given_settings, tmp_path, "government")
    assert ChannelConfig.of("c", "渠道", "public", made.name, given_settings, tmp_path).audience == "public"
