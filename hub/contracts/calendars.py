"""The calendars under ``reference/calendars``, read into :class:`hub.domain.calendar.Calendar`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from hub.contracts.yaml_lines import FastLoader
from hub.domain.calendar import Calendar
from hub.errors import ContractError


def load_calendars(root: Path) -> dict[str, Calendar]:
    """All calendars of ``root/reference/calendars`` by name, those that others extend first.

    :raises ContractError: naming the file that is missing, unreadable or wrong.
    """
    folder = root / "reference" / "calendars"
    waiting = {data.get("calendar"): data for data in map(_read, sorted(folder.glob("*.yaml")))}
    if not waiting:
        raise ContractError(f"no calendar under {folder}")
    calendars: dict[str, Calendar] = {}
    while waiting:
        ready = [name for name, data in waiting.items() if data.get("extends") in (None, *calendars)]
        if not ready:
            raise ContractError(f"{folder}: {', '.join(map(str, waiting))} extend what is not there")
        for name in ready:
            data = waiting.pop(name)
            calendars[str(name)] = Calendar.from_data(data, calendars.get(data.get("extends", "")))
    return calendars


def _read(path: Path) -> dict[str, Any]:
    try:
        data = yaml.load(path.read_text(encoding="utf-8"), Loader=FastLoader)  # a safe loader either way
    except (OSError, yaml.YAMLError) as error:
        raise ContractError(f"{path}: {error}") from error
    if not isinstance(data, dict):
        raise ContractError(f"{path}: a calendar is a mapping")
    return data
