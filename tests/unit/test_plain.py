"""JSON that leaves the hub: digests of it stand on receipts, so its bytes are a promise."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.domain.plain import instant_text, to_json, to_plain

_scalars = (
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.text() | st.dates()
    | st.decimals(allow_nan=False, allow_infinity=False)
    | st.datetimes(timezones=st.sampled_from([UTC, timezone(timedelta(hours=8))])).filter(lambda at: 1 < at.year < 9999)
)
_values = st.recursive(_scalars, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=20)


@given(_values)
def test_the_bytes_are_those_of_the_standard_library(value: object) -> None:
    assert to_json(value) == json.dumps(
        value, ensure_ascii=False, separators=(",", ":"), allow_nan=False, default=to_plain
    ).encode()


def test_moments_amounts_and_days_have_one_spelling() -> None:
    moment = datetime(2026, 3, 2, 9, 0, 0, 123999, timezone(timedelta(hours=8)))
    assert instant_text(moment) == instant_text(moment.astimezone(UTC)) == "2026-03-02T01:00:00.123Z"
    assert to_json({"a": moment, "b": Decimal("0.000000"), "c": date(2026, 3, 2), "d": "雪域\x7f\x01"}) == (
        '{"a":"2026-03-02T01:00:00.123Z","b":"0.000000","c":"2026-03-02","d":"雪域\x7f\\u0001"}'.encode()
    )


def test_what_no_schema_has_has_no_form() -> None:
    with pytest.raises(TypeError):
        to_json({"a": object()})
