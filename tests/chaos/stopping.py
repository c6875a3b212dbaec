"""How a process of these tests is told to end by itself: once it listens, and not while it still starts."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

from tests.support_clock_load import wait_until

_LISTENS = "listens for SIGTERM\n"


def stop_at_sigterm(stop: Callable[[], None]) -> None:
    """In the process: SIGTERM stops it from now on, and its console says so."""
    signal.signal(signal.SIGTERM, lambda *_: stop())
    print(_LISTENS, end="", flush=True)


def end(process: subprocess.Popen[bytes], console: Path) -> None:
    """Of the test: has it end, and waits for that."""
    wait_until(lambda: _LISTENS in console.read_text(errors="replace") or process.poll() is not None, "its start", 0.05)
    process.terminate()
    assert process.wait(60) == 0, console.read_text(errors="replace")
