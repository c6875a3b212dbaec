"""Whoever has a turn learns that somebody waits for it."""

from __future__ import annotations

import threading
import uuid
from pathlib import Path

import pytest
import redis

from hub.intake.lease import SourceLease
from hub.intake.lock import SourceBusyError


@pytest.mark.parametrize("folders", [("one", "one"), ("one", "other")])
def test_who_waits_for_a_turn_says_so(redis_client: redis.Redis, tmp_path: Path, folders: tuple[str, str]) -> None:
    name = f"t{uuid.uuid4().hex[:8]}"
    holder, waiter = (SourceLease(redis_client, tmp_path / folder, name) for folder in folders)
    holder.acquire(0)
    assert not holder.is_wanted()
    with pytest.raises(SourceBusyError):
        waiter.acquire(0.1)
    assert holder.is_wanted()
    waiting = threading.Thread(target=waiter.acquire, args=(30,))
    waiting.start()
    holder.release()
    waiting.join()
    with pytest.raises(SourceBusyError):
        holder.acquire(0)
    waiter.release()
