"""What cannot be logged does not end what is told of."""

from __future__ import annotations

import errno
import io
import logging
import sys
from pathlib import Path

import pytest
import structlog

from hub.cli.common import settings_of
from hub.cli.steady_log import SteadyLogger
from tests.support_contracts import IDENTITY_NUMBER, PHONE


class Full(io.StringIO):
    def write(self, text: str) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")


def test_lines_are_written() -> None:
    stream = io.StringIO()
    SteadyLogger(stream).error("one")
    SteadyLogger(stream).info("two")
    assert stream.getvalue() == "one\ntwo\n"


def test_a_full_disk_and_a_closed_stream_raise_nothing() -> None:
    SteadyLogger(Full()).error("lost")
    closed = io.StringIO()
    closed.close()
    SteadyLogger(closed).error("lost")


def test_no_line_holds_a_number_of_a_person_and_ids_stay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stream, id_ = io.StringIO(), "1727b669-3837-57f1-9c99-17721196099a"
    monkeypatch.setattr(sys, "stderr", stream)
    settings_of(tmp_path)
    log = structlog.get_logger()
    try:
        raise ValueError(f"of {IDENTITY_NUMBER}")
    except ValueError as error:
        log.error(f"of {PHONE}", said=[PHONE], error=error, event_id=id_, offset=13900000000, exc_info=True)
    servers = logging.getLogger("uvicorn.error")
    try:
        raise KeyError(PHONE)
    except KeyError:
        servers.error("Exception in ASGI application\n", exc_info=True)
    servers.info("started")
    ours, theirs = stream.getvalue().splitlines()
    assert id_ in ours and "offset=13900000000" in ours and "ValueError: of ******" in ours
    assert "web.server" in theirs and "KeyError" in theirs and "started" not in theirs
    assert IDENTITY_NUMBER not in ours and PHONE not in ours + theirs


def test_it_is_what_the_hub_logs_with(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", Full())
    settings_of(tmp_path)
    structlog.get_logger().bind(stage="routing").error("dead letter", topic="t")
