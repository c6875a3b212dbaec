"""The flat writer writes what the general one writes, byte for byte."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

import fastavro
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.contracts.flat import array, compile_writer, text, zigzag
from hub.errors import ContractError
from tests.support_contracts import catalog

TEXTS = st.text(max_size=300)
DECISION = catalog().schema("hub/routing-decision")
SIGNAL = catalog().schema("hub/clock-signal")
_OUTPUT = ("rule", "kind", "target", "output_id", "action")


@given(number=st.integers(-(2**63), 2**63 - 1))
def test_zigzag_is_what_fastavro_reads(number: int) -> None:
    from io import BytesIO

    assert fastavro.schemaless_reader(BytesIO(zigzag(number)), {"type": "long"}, None) == number


@given(
    parts=st.lists(TEXTS, min_size=8, max_size=8),
    offset=st.integers(0, 2**62),
    moment=st.integers(0, 4_000_000_000_000),
    outputs=st.lists(st.lists(TEXTS, min_size=5, max_size=5), max_size=80),
    reason=st.none() | TEXTS,
)
def test_a_decision_is_the_same_bytes(
    parts: list[str], offset: int, moment: int, outputs: list[list[str]], reason: str | None
) -> None:
    names = [field.name for field in DECISION.fields]
    value: dict[str, Any] = {
        **dict(zip(names[:7], parts[:7], strict=True)), "input_partition": 11, "input_offset": offset,
        "map_version": parts[7], "decided_at": datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=moment),
        "is_matched": bool(outputs), "outputs": [dict(zip(_OUTPUT, entry, strict=True)) for entry in outputs],
        "withheld": [], "reason": reason,
    }
    variables = [name for name in names if name != "map_version"]
    write = compile_writer(DECISION, {"map_version": parts[7]}, variables)
    # A reason that is not there is one byte behind the rest.
    encoded = [b"".join(text(part.encode()) for part in entry) + b"\x00" for entry in outputs]
    flat = write(
        [*(part.encode() for part in parts[:7]), 11, offset, moment, bool(outputs), array(encoded), array([]),
         None if reason is None else reason.encode()]
    )
    assert flat == DECISION.encode(value)


@given(day=st.none() | st.dates(date(1900, 1, 1), date(2200, 1, 1)))
def test_a_date_or_none_is_the_same_bytes(day: date | None) -> None:
    constants: dict[str, Any] = {
        "signal_id": "s", "kind": "start", "rule": "r", "target": None, "correlation_id": "c", "event_id": "e",
        "event_type": "t", "subject": "x", "owner_department": "o", "map_version": "m",
        "occurred_at": datetime(2026, 7, 1, tzinfo=UTC),
    }
    write = compile_writer(SIGNAL, constants, ["counts_from", "until"])
    assert write([day, None]) == SIGNAL.encode({**constants, "counts_from": day, "until": None})
    assert write([None, day]) == SIGNAL.encode({**constants, "counts_from": None, "until": day})


def test_a_field_left_out_or_out_of_order_is_refused() -> None:
    names = [field.name for field in SIGNAL.fields]
    with pytest.raises(ContractError, match="in their order"):
        compile_writer(SIGNAL, {}, names[1:])
    with pytest.raises(ContractError, match="in their order"):
        compile_writer(SIGNAL, {}, [names[1], names[0], *names[2:]])
