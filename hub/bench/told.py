"""What a module finds out in a process of its own, where memory and processor time are its own."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from typing import Any

from hub.errors import HubError
from hub.intake.beside.readers import same_modules


def told_by(module: str, job: Mapping[str, object]) -> dict[str, Any]:
    """Runs ``python -m module``, which gets the job as JSON and prints what it found as the last line.

    Raises HubError if it fails, with what it said.
    """
    done = subprocess.run(
        [sys.executable, "-m", module], input=json.dumps(job), text=True, capture_output=True, check=False,
        env=same_modules(),
    )
    if done.returncode:
        raise HubError(f"The process of {module} failed:\n{done.stderr[-3000:]}")
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found
