"""From records to spans: whose span, whose child, which times, and that nothing of a person leaves the hub."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
import structlog

from hub.bus.dead_letters import redriven, to_dead_letter
from hub.bus.records import Output, Record
from hub.contracts.cloudevents import from_headers, to_headers
from hub.domain.events import Envelope, child_traceparent, derive_id, new_traceparent, read_traceparent, span_of
from hub.errors import PoisonError, UsageError
from hub.ops.spans.figures import SpanFigures
from hub.ops.spans.otlp import encode
from hub.ops.spans.reading import SpanReader, service_of
from hub.ops.spans.service import SpanService
from hub.ops.spans.span import Place, Span
from hub.settings import load
from hub.wiring.ops import build_ops
from hub.wiring.parts import Together
from hub.wiring.spans import checked_endpoint, span_groups, span_topics
from tests.support_contracts import catalog
from tests.support_routing import SUBJECT, hub_map
from tests.support_spans import fact, outputs_of, seen

TIME = datetime(2026, 7, 1, 1, tzinfo=UTC)
AT = int(TIME.timestamp() * 1000)
#: A made-up person: the form of an ID number, of a birthday in the future.
PERSON, ID_NUMBER, STREET = "扎西南杰多", "623001209912319990", "当周街道虚构路九十九号"


def id_of(word: str) -> str:
    return derive_id("test", word)


def record(
    word: str, *, cause: str | None = None, trace: str | None = None, at: int = AT, topic: str = "complaint.leads.v1",
    type: str = "complaint.lead.received", source: str = "/sources/leads",
) -> Record:
    """A record of that id; ``trace`` is its traceparent."""
    envelope = Envelope(
        id=id_of(word), source=source, type=type, subject=SUBJECT, time=TIME - timedelta(seconds=2),
        correlation_id="c", causation_id=id_of(cause) if cause is not None else None, traceparent=trace,
    )
    return Record(topic, 1, 7, at, SUBJECT.encode(), b"\x00", to_headers(envelope))


def first(word: str) -> Place:
    found = read_traceparent(new_traceparent(id_of(word)))
    assert found is not None
    return Place(*found)


def one(found: Record, *before: Record, reader: SpanReader | None = None) -> Span:
    return (reader or SpanReader()).read([*before, found])[-1]


def beginning(word: str, at: int = AT) -> Record:
    return record(word, trace=new_traceparent(id_of(word)), at=at)


def effect(word: str, of: str, root: str, *, at: int = AT) -> Record:
    """What ``of`` caused in the trace that ``root`` began."""
    trace = child_traceparent(new_traceparent(id_of(root)), id_of(word))
    return record(word, cause=of, trace=trace, at=at, source="/stages/routing", type="routing.event.decided")


# -- whose span, whose child ---------------------------------------------------------------------


def test_a_fact_begins_its_trace_and_starts_when_it_was_entered() -> None:
    span = one(beginning("fact"))
    assert (span.place, span.parent, span.link) == (first("fact"), None, None)
    assert (span.start, span.end) == (AT - 2000, AT)
    assert (span.name, span.service, span.is_error) == ("complaint.lead.received", "intake", False)
    assert span.attributes == {
        "messaging.system": "kafka", "messaging.operation.name": "send", "messaging.operation.type": "send",
        "messaging.destination.name": "complaint.leads.v1", "messaging.destination.partition.id": "1",
        "messaging.kafka.offset": 7, "cloudevents.event_id": id_of("fact"),
        "cloudevents.event_source": "/sources/leads",
    }


@pytest.mark.parametrize("is_known", [True, False])
def test_the_parent_is_the_span_of_the_cause_whether_it_was_seen_or_not(is_known: bool) -> None:
    fact, order = beginning("fact", AT), effect("order", "fact", "fact", at=AT + 40)
    receipt = effect("receipt", "order", "fact", at=AT + 90)
    alone = [one(order, *[fact] * is_known), one(receipt, *[fact, order] * is_known)]
    assert [span.place.trace for span in alone] == [first("fact").trace] * 2
    assert [span.parent for span in alone] == [first("fact").span, span_of(id_of("order"))]
    # From the cause's record where it was seen, else from its own time; to its own place on the log.
    assert [span.start for span in alone] == ([AT, AT + 40] if is_known else [AT - 2000] * 2)
    assert [span.end for span in alone] == [AT + 40, AT + 90]


def test_an_effect_that_is_read_before_its_cause_starts_at_the_cause_all_the_same() -> None:
    spans = SpanReader().read([effect("order", "fact", "fact", at=AT + 40), beginning("fact", AT)])
    assert [span.start for span in spans] == [AT, AT - 2000]


def test_no_span_ends_before_it_starts() -> None:
    span = one(effect("order", "fact", "fact", at=AT - 5), beginning("fact", AT))
    assert span.start == span.end == AT - 5


def test_what_is_remembered_is_bounded_and_the_oldest_leaves() -> None:
    reader = SpanReader(remembered=2)
    reader.read([beginning(word) for word in ("a", "b", "c")])
    found = reader.read([effect("x", "a", "a", at=AT + 9), effect("y", "c", "c", at=AT + 9)])
    assert [span.start for span in found] == [AT - 2000, AT]
    assert len(reader._known) == 2


def test_a_repeat_is_the_same_span() -> None:
    reader = SpanReader()
    (span,) = reader.read([effect("order", "fact", "fact")])
    (again,) = reader.read([effect("order", "fact", "fact")._replace(offset=8)])
    assert (again.place, again.parent) == (span.place, span.parent)


def test_a_traceparent_of_somebody_else_is_the_caller_s_span() -> None:
    given = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    span = one(record("fact", trace=given))
    assert span.place == Place("0af7651916cd43dd8448eb211c80319c", span_of(id_of("fact")))
    assert span.parent == "b7ad6b7169203331"
    # Two records that name the same caller are two spans.
    assert one(record("other", trace=given)).place != span.place


def test_a_cause_in_another_trace_is_a_link() -> None:
    decision = beginning("decision")
    settled = record("settled", cause="decision", trace=new_traceparent(id_of("settled")))
    span = one(settled, decision)
    assert (span.place, span.parent, span.link) == (first("settled"), None, first("decision"))
    # Not seen: it begins its trace, and no parent is made up.
    assert (one(settled).parent, one(settled).link) == (None, None)


def test_what_time_moved_belongs_where_its_cause_does() -> None:
    alert = record("alert", cause="fact", type="clock.deadline.breached", source="/stages/clocks")
    term = record("term", cause="alert", type="clock.term.expired", source="/stages/clocks")
    assert (one(alert).place, one(alert).parent) == (
        Place(first("fact").trace, span_of(id_of("alert"))), first("fact").span
    )
    span = one(term, alert)
    assert (span.place.trace, span.parent) == (first("fact").trace, span_of(id_of("alert")))
    assert one(record("lonely")).place == first("lonely")


@pytest.mark.parametrize("trace", ["", "nonsense", "00-" + "0" * 32 + "-b7ad6b7169203331-01"])
def test_a_traceparent_that_cannot_be_read_is_none(trace: str) -> None:
    assert one(record("fact", trace=trace)).place == first("fact")


@pytest.mark.parametrize("id", ["", ID_NUMBER, "x" * 36])
def test_a_record_without_an_id_of_the_hub_has_no_span(id: str) -> None:
    found = beginning("fact")
    strange = found._replace(headers=[(n, id.encode() if n == "ce_id" else v) for n, v in found.headers])
    assert SpanReader().read([strange, found._replace(headers=[])]) == []
    assert len(SpanReader().read([strange, found])) == 1


def test_a_cause_that_is_no_id_or_the_record_itself_is_none() -> None:
    for cause in (id_of("fact"), ID_NUMBER):
        found = beginning("fact")
        span = one(found._replace(headers=[*found.headers, ("ce_causationid", cause.encode())]))
        assert (span.place, span.parent) == (first("fact"), None)


# -- dead letters --------------------------------------------------------------------------------


def test_a_dead_letter_is_a_failed_span_beside_what_it_was_and_so_is_what_was_put_back() -> None:
    fact = beginning("fact")
    output = to_dead_letter(
        fact, "routing", PoisonError(f"{PERSON} {ID_NUMBER}"), attempts=1, first_failed_at=TIME, rule_version="map-1"
    )
    letter = Record(output.topic, 0, 3, AT + 500, output.key, output.value, output.headers)
    span = one(letter, fact)
    assert (span.place.trace, span.parent) == first("fact")
    assert span.place.span not in (first("fact").span, span_of(id_of("fact")))
    assert (span.service, span.is_error, span.start, span.end) == ("routing", True, AT, AT + 500)
    assert span.attributes["error.type"] == "PoisonError" and span.attributes["hub.rule_version"] == "map-1"
    back = redriven(letter, "request")
    assert back is not None
    put_back = one(Record(back.topic, 1, 9, AT + 900, back.key, back.value, back.headers), fact, letter)
    assert (put_back.place.trace, put_back.parent, put_back.is_error) == (*first("fact"), False)
    assert len({put_back.place, span.place, first("fact")}) == 3
    for hidden in (PERSON, ID_NUMBER):
        assert hidden.encode() not in encode([span, put_back])


# -- the whole way, and what leaves --------------------------------------------------------------


def way() -> list[Record]:
    """A listing of a made-up person's enterprise and everything that came of it."""
    event = fact(
        legal_representative=PERSON, legal_representative_certificate_number=ID_NUMBER, remark=STREET,
    )
    outputs: list[Output] = outputs_of(event)
    return [event, *(
        Record(each.topic, 3, offset, AT + offset, each.key, each.value, each.headers)
        for offset, each in enumerate(outputs)
    )]


def test_the_way_of_a_fact_is_one_trace_in_which_every_parent_is_a_span() -> None:
    records = way()
    spans = SpanReader().read(records)
    assert len(spans) == len(records) > 6
    ids = {span.place.span: from_headers(record.headers).id for span, record in zip(spans, records, strict=True)}
    assert len(ids) == len(spans) and len({span.place.trace for span in spans}) == 1
    for span, record in zip(spans, records, strict=True):
        cause = from_headers(record.headers).causation_id
        assert (ids[span.parent] if span.parent is not None else None) == cause
    assert {span.service for span in spans} == {"intake", "routing", "disclosure", "clocks"}
    # A reader that starts anew in the middle says the same of whose child each is.
    assert [one(record).parent for record in records] == [span.parent for span in spans]


def test_nothing_of_a_person_or_an_enterprise_is_in_what_leaves() -> None:
    records = way()
    values = b"".join(record.value or b"" for record in records)
    assert all(hidden.encode() in values for hidden in (PERSON, STREET, ID_NUMBER))
    assert any(SUBJECT.encode() in (record.key or b"") for record in records)
    # Even where a header holds what no header of the hub does.
    spoiled = [
        record._replace(headers=[
            ("ce_type", f"person.{ID_NUMBER}".encode()), ("ce_source", f"/sources/{ID_NUMBER}".encode()),
            ("ce_subject", PERSON.encode()), ("ce_naturalkey", ID_NUMBER.encode()), *record.headers,
        ])
        for record in records
    ]
    body = encode([*SpanReader().read(records), *SpanReader().read(spoiled)])
    assert len(seen(body)) == 2 * len(records)
    for hidden in (PERSON, STREET, ID_NUMBER, SUBJECT, "91623000739699913"):
        assert hidden.encode() not in body


def test_what_is_encoded_is_what_a_receiver_reads() -> None:
    reader = SpanReader()
    spans = reader.read([beginning("fact"), effect("order", "fact", "fact", at=AT + 40), beginning("decision")])
    spans += reader.read([record("settled", cause="decision", trace=new_traceparent(id_of("settled")))])
    found = {each["cloudevents.event_id"]: each for each in seen(encode(spans))}
    order = found[id_of("order")]
    assert (order["trace"], order["parent"]) == first("fact")
    assert (order["service"], order["name"]) == ("routing", "routing.event.decided")
    assert (order["start"], order["end"]) == (AT * 1_000_000, (AT + 40) * 1_000_000)
    assert found[id_of("fact")]["parent"] == "" and found[id_of("fact")]["messaging.kafka.offset"] == 7
    assert found[id_of("settled")]["links"] == [first("decision")]


@pytest.mark.parametrize(("source", "service"), [
    ("/stages/routing", "routing"), ("/sources/gannan-12345", "intake"), ("/operators", "operators"),
    ("/web/portal", "web"), ("/reference/calendars", "reference"), (f"/stages/{ID_NUMBER}", "stages"),
    ("", "unknown"), (PERSON, "unknown"),
])
def test_the_service_is_the_stage_that_wrote_it(source: str, service: str) -> None:
    assert service_of(source) == service


# -- wiring --------------------------------------------------------------------------------------


def test_topics_that_are_followed_tell_of_events_and_are_the_hub_s_own() -> None:
    topics = span_topics(hub_map())
    assert {"blacklist.notices.v1", "routing.decisions.v1", "routing.dead-letters.v1"} <= set(topics)
    assert not {"ops.probes.v1", "access.accounts.v1", "subscription.settings.v1"} & set(topics)
    assert span_groups(load(otlp_endpoint="http://127.0.0.1:4318"), hub_map()) == {"hub-spans": tuple(topics)}
    assert span_groups(load(), hub_map()) == {}


@pytest.mark.parametrize("text", [
    "127.0.0.1:4318", "http://", "ftp://127.0.0.1", "http://127.0.0.1:99999", "http://127.0.0.1/?a=b",
])
def test_an_address_that_is_none_is_named_by_its_setting(text: str) -> None:
    with pytest.raises(UsageError, match=r"HUB_OTLP_ENDPOINT is no base address.*127\.0\.0\.1:4318"):
        checked_endpoint(text)


def test_an_address_with_a_password_is_refused_without_saying_it() -> None:
    with pytest.raises(UsageError) as caught:
        checked_endpoint("https://tempo:swordfish@127.0.0.1")
    assert "swordfish" not in str(caught.value) and "HUB_OTLP_ENDPOINT" in str(caught.value)
    assert checked_endpoint("https://127.0.0.1/tempo") == "https://127.0.0.1/tempo"


def test_ops_has_the_service_where_a_receiver_is_named_and_refuses_an_address_that_is_none() -> None:
    def services(endpoint: str) -> list[type]:
        settings = load(
            bootstrap_servers="127.0.0.1:1", redis_index_url="redis://127.0.0.1:1", otlp_endpoint=endpoint
        )
        built = build_ops(settings, hub_map(), catalog(), {})
        assert isinstance(built, Together)
        return [type(each) for each in built.services]

    assert SpanService not in services("")
    assert services("http://127.0.0.1:4318").count(SpanService) == 1
    with pytest.raises(UsageError):
        services("127.0.0.1")


def test_no_fault_ends_the_service_and_one_that_lasts_is_said_once(monkeypatch: pytest.MonkeyPatch) -> None:
    class Nobody:
        async def take(self, spans: object) -> int:
            raise AssertionError("nothing was read")

        async def close(self) -> None: ...

    service = SpanService("127.0.0.1:1", [], Nobody(), SpanFigures(), backoff_seconds=(0.001, 0.001))
    calls: list[int] = []

    def session(runner: object) -> None:
        calls.append(1)
        if len(calls) == 3:
            service.stop()
        raise RuntimeError("what nobody foresaw")

    monkeypatch.setattr(service, "_session", session)
    with structlog.testing.capture_logs() as lines:
        service.run()
    assert len(calls) == 3
    assert [line["error"] for line in lines] == ["what nobody foresaw"]
