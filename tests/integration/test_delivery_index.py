"""The index of notices on a real Valkey."""

from __future__ import annotations

import socket
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
import redis

from hub.errors import IndexUnavailableError
from hub.state.notice_index import RETENTION, Notice, NoticeIndex

NOTICE = Notice(
    notice_id="notice-1", event_id="event-1", event_type="blacklist.notice.listed", correlation_id="entity-1",
    subject="91623000739699913A", subscription="procurement", department_code="116230009900000171",
    expected_measures=("restrict-government-procurement", "解除限制"),
    issued_at=datetime.now(UTC).replace(microsecond=123000),
)


def test_what_was_put_is_found_and_expires(redis_client: redis.Redis) -> None:
    index = NoticeIndex(redis_client)
    index.put([NOTICE, NOTICE])
    index.put([])
    assert index.get("notice-1") == NOTICE
    # counted from the notice, not from the moment it was put: a rebuilt index forgets on the same day
    assert redis_client.expiretime("hub:notice:notice-1") == int((NOTICE.issued_at + RETENTION).timestamp())


def test_a_client_that_decodes_serves_as_well(redis_client: redis.Redis) -> None:
    pool = redis_client.connection_pool.connection_kwargs
    with redis.Redis(host=pool["host"], port=pool["port"], decode_responses=True) as decoding:
        NoticeIndex(decoding).put([NOTICE])
        assert NoticeIndex(decoding).get("notice-1") == NOTICE


def test_unknown_is_said_only_of_a_complete_index(redis_client: redis.Redis) -> None:
    index = NoticeIndex(redis_client)
    with pytest.raises(IndexUnavailableError):
        index.get("notice-1")
    old = replace(NOTICE, notice_id="old", issued_at=datetime.now(UTC) - RETENTION - timedelta(days=1))
    many = (replace(NOTICE, notice_id=f"notice-{n}") for n in range(2500))
    assert index.rebuild([old, *many]) == 2501
    assert index.get("notice-2499") == replace(NOTICE, notice_id="notice-2499")
    assert index.get("old") is None
    assert index.get("unknown") is None
    redis_client.flushdb()
    with pytest.raises(IndexUnavailableError):
        index.get("notice-1")


def test_an_unreadable_entry_is_not_called_unknown(redis_client: redis.Redis) -> None:
    redis_client.hset("hub:notice:broken", "subject", "x")
    with pytest.raises(IndexUnavailableError, match="broken"):
        NoticeIndex(redis_client).get("broken")


def test_nobody_listens() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with redis.Redis(port=port) as client:
        index = NoticeIndex(client)
        for call in (lambda: index.put([NOTICE]), lambda: index.get("notice-1"), lambda: index.rebuild([])):
            with pytest.raises(IndexUnavailableError):
                call()
