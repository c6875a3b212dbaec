"""A log that never ends what it tells of, and that holds nobody's number."""

from __future__ import annotations

import contextlib
import logging
import sys
import threading
from typing import TextIO

import structlog
from structlog.typing import EventDict

from hub.domain.scrubbing import scrub_words

_lock = threading.Lock()


class SteadyLogger:
    """Writes lines to a stream, as structlog's own does; what cannot be written is lost, and nobody hears of it.

    A stage that cannot say that it set a record aside has set it aside all the same: a full disk under the log must
    not stop what has room of its own.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def msg(self, message: str) -> None:
        with _lock, contextlib.suppress(OSError, ValueError):
            self._stream.write(f"{message}\n")
            self._stream.flush()

    log = debug = info = warn = warning = msg
    fatal = failure = err = error = critical = exception = msg


def configure(level: int) -> None:
    """Has this process's log go to stderr, a line an event, from this level on; what its web servers say with it."""
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(level),
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            without_numbers,
            structlog.processors.LogfmtRenderer(key_order=["timestamp", "level", "event"]),
        ],
        logger_factory=lambda *_: SteadyLogger(sys.stderr),
    )
    servers = logging.getLogger("uvicorn")
    if not any(isinstance(each, _ServerLines) for each in servers.handlers):
        servers.addHandler(_ServerLines(logging.WARNING))


def without_numbers(_logger: object, _method: str, line: EventDict) -> EventDict:
    """Takes personal numbers out of everything that a line says: the text of an error may hold what somebody entered,
    whoever raised it."""
    return {
        name: value if value is None or isinstance(value, int | float) else scrub_words(str(value))
        for name, value in line.items()
    }


class _ServerLines(logging.Handler):
    """Lines of the web server, as lines of ours."""

    def emit(self, record: logging.LogRecord) -> None:
        log = structlog.get_logger()
        log.log(record.levelno, "web.server", said=record.getMessage().strip(), exc_info=record.exc_info)
