"""Envelopes as headers, and what the CloudEvents SDK makes of them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from cloudevents.core.bindings.kafka import KafkaMessage, from_binary
from cloudevents.core.formats.json import JSONFormat
from hypothesis import given
from hypothesis import strategies as st

from hub.contracts.cloudevents import from_headers, to_headers
from hub.domain.events import Envelope, new_traceparent
from hub.errors import ContractError

FULL = Envelope(
    id="0b2c", source="/sources/合作市市场监管局", type="inspection.result.recorded",
    subject="91623000739699913A", time=datetime(2026, 3, 2, 8, 30, 0, 250000, UTC), correlation_id="c1",
    causation_id="c0", traceparent=new_traceparent("x"), sequence=2, natural_key="合市监检〔2026〕1号",
    digest="abc",
)
_words = st.text(st.characters(categories=["L", "N"]), min_size=1, max_size=20)
envelopes = st.builds(
    Envelope, id=_words, source=_words, type=_words, subject=_words,
    time=st.datetimes(timezones=st.sampled_from([UTC, timezone(timedelta(hours=8))])),
    correlation_id=_words, causation_id=st.none() | _words, traceparent=st.none() | _words,
    sequence=st.none() | st.integers(1, 10**6), natural_key=st.none() | _words, digest=st.none() | _words,
).filter(lambda envelope: 1 < envelope.time.year < 9999)


def test_headers_stand_in_their_order() -> None:
    headers = to_headers(FULL)
    assert [name for name, _ in headers] == [
        "ce_specversion", "ce_id", "ce_source", "ce_type", "ce_subject", "ce_time", "content-type",
        "traceparent", "ce_correlationid", "ce_causationid", "ce_sequence", "ce_naturalkey", "ce_digest",
    ]
    assert dict(headers)["ce_time"] == b"2026-03-02T08:30:00.250000Z"
    assert dict(headers)["content-type"] == b"application/avro"


@given(envelopes)
def test_an_envelope_comes_back_the_same(envelope: Envelope) -> None:
    assert from_headers(to_headers(envelope)) == envelope


class _Bytes(JSONFormat):
    """The SDK has no Avro; the data stay the bytes that they are."""

    def read_data(self, data: Any, datacontenttype: str | None) -> Any:
        return data


@given(envelopes)
def test_the_sdk_reads_every_header_set_and_agrees(envelope: Envelope) -> None:
    message = KafkaMessage(headers=dict(to_headers(envelope)), key=None, value=b"\x00avro")
    event = from_binary(message, _Bytes())
    assert event.get_specversion() == "1.0"
    assert (event.get_id(), event.get_source(), event.get_type(), event.get_subject(), event.get_time()) == (
        envelope.id, envelope.source, envelope.type, envelope.subject, envelope.time,
    )
    assert event.get_datacontenttype() == "application/avro"
    assert event.get_data() == b"\x00avro"
    sequence = None if envelope.sequence is None else str(envelope.sequence)
    for name, value in {
        "correlationid": envelope.correlation_id, "causationid": envelope.causation_id,
        "sequence": sequence, "naturalkey": envelope.natural_key, "digest": envelope.digest,
    }.items():
        assert event.get_extension(name) == value


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ce_specversion", b"0.3"), ("ce_specversion", None), ("ce_id", None), ("ce_source", b""),
        ("ce_type", None), ("ce_subject", None), ("ce_time", None), ("ce_time", b"yesterday"),
        ("ce_time", b"2026-03-02T08:30:00"), ("ce_correlationid", None), ("ce_sequence", b"-1"),
        ("ce_digest", b"\xff"),
    ],
)
def test_the_header_that_is_wrong_is_named(name: str, value: bytes | None) -> None:
    headers = [(n, v) for n, v in to_headers(FULL) if n != name]
    if value is not None:
        headers.append((name, value))
    with pytest.raises(ContractError, match=name):
        from_headers(headers)


def test_a_time_without_zone_is_refused_and_strange_headers_are_passed_over() -> None:
    with pytest.raises(ContractError, match="ce_time"):
        to_headers(Envelope("i", "s", "t", "x", datetime(2026, 3, 2), "c"))
    strange = [("x-other", b"\xff"), *to_headers(FULL), ("ce_id", b"second")]
    assert from_headers(strange) == FULL
