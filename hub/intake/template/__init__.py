"""What ``hub connect new`` writes: a connector to begin with, that works as it is."""

from __future__ import annotations

import re
from pathlib import Path

from hub.errors import InputError, UsageError

FILES = ("source.py", "mapping.yaml", "README.md")
#: What stands for the connector's name in the files.
_EXAMPLE = "example-register"
_HERE = Path(__file__).parent


def write_template(name: str, folder: Path) -> list[Path]:
    """Writes the files into ``folder/<name>``.

    :raises UsageError: when the name cannot be one.
    :raises InputError: when the folder is there already.
    """
    if not re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", name):
        raise UsageError("The name is lower case letters and digits, with hyphens between.")
    target = folder / name
    try:
        target.mkdir(parents=True)
    except FileExistsError:
        raise InputError(f"{target} is there already; nothing was written.") from None
    written = []
    for file in FILES:
        text = (_HERE / file).read_text(encoding="utf-8").replace(_EXAMPLE, name)
        (target / file).write_text(text, encoding="utf-8")
        written.append(target / file)
    return written
