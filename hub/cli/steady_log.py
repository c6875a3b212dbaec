"""A log that never ends what it tells of."""

from __future__ import annotations

import contextlib
import threading
from typing import TextIO

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
