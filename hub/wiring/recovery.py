"""What the web side reads before it answers."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping

from hub.web.startup import Startup


class Recovery:
    """Reads what the web side needs, part by part, while it listens already. Ends with the error of a part."""

    def __init__(self, work: Mapping[str, Callable[[], object]], startup: Startup) -> None:
        self._work, self._startup, self._stopping = dict(work), startup, threading.Event()

    def run(self) -> None:
        for part, read in self._work.items():
            if self._stopping.is_set():
                return
            read()
            self._startup.done(part)
        self._stopping.wait()

    def stop(self) -> None:
        self._stopping.set()
