"""The partition of a key is the same for the hub, for Java clients and for kafka-python."""

from __future__ import annotations

from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kafka.partitioner.default import murmur2 as murmur2_of_kafka_python

from hub.domain.murmur2 import murmur2, partition_of


@pytest.mark.parametrize(
    ("key", "expected"),
    [  # The vectors of org.apache.kafka.common.utils.UtilsTest.testMurmur2.
        (b"21", -973932308),
        (b"foobar", -790332482),
        (b"a-little-bit-long-string", -985981536),
        (b"a-little-bit-longer-string", -1486304829),
        (b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971),
        (b"abc", 479470107),
    ],
)
def test_the_vectors_of_kafkas_own_tests(key: bytes, expected: int) -> None:
    assert murmur2(key) == expected & 0xFFFFFFFF


@given(st.binary(max_size=70), st.integers(1, 1000))
def test_any_key_is_where_kafka_python_puts_it(key: bytes, partitions: int) -> None:
    theirs = cast(int, murmur2_of_kafka_python(key))
    assert partition_of(key, partitions) == (theirs & 0x7FFFFFFF) % partitions
