"""What cannot be logged does not end what is told of."""

from __future__ import annotations

import errno
import io
import sys
from pathlib import Path

import pytest
import structlog

from hub.cli.common import settings_of
from hub.cli.steady_log import SteadyLogger


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


def test_it_is_what_the_hub_logs_with(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", Full())
    settings_of(tmp_path)
    structlog.get_logger().bind(stage="routing").error("dead letter", topic="t")
