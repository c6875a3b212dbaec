"""Puts a file's enterprises on the register's topic: what is new or changed, once."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import NamedTuple

from hub.bus.publisher import Publisher
from hub.bus.records import Output
from hub.contracts.catalog import Catalog
from hub.domain.matching import Enterprise
from hub.domain.plain import whole_millis
from hub.intake.identity.register_file import RegisterFault, read_register_file
from hub.intake.identity.register_log import RegisterLog, read_register, region_names

#: Records that are waited for together.
_BATCH = 5000


class Loaded(NamedTuple):
    """``total`` is the size of the register behind it."""

    loaded: int
    unchanged: int
    total: int
    faults: list[RegisterFault]


def load_register(
    file: Path, bootstrap: str, catalog: Catalog, publisher: Publisher, now: datetime
) -> Loaded:
    """Loads what it can and names the rows that it cannot. A kill leaves a part; loading again adds the rest.

    Raises InputError for a file that cannot be read, BrokerError.
    """
    register, log, now = read_register(bootstrap, catalog), RegisterLog(catalog), whole_millis(now)
    waiting: list[Output] = []
    faults: list[RegisterFault] = []
    rows: dict[str, int] = {}
    loaded = unchanged = 0
    for number, found in read_register_file(file, region_names(catalog)):
        if isinstance(found, RegisterFault):
            faults.append(found)
            continue
        if found.uscc in rows and register.get(found.uscc) != found:
            faults.append(_twice(number, found))
            continue
        rows[found.uscc] = number
        if register.get(found.uscc) == found:
            unchanged += 1
            continue
        register.put(found)
        waiting.append(log.entry(found, file.name, now))
        loaded += 1
        if len(waiting) >= _BATCH:
            publisher.publish(waiting)
            waiting = []
    publisher.publish(waiting)
    return Loaded(loaded, unchanged, len(register), faults)


def _twice(number: int, found: Enterprise) -> RegisterFault:
    return RegisterFault(
        number, "统一社会信用代码", f"{found.uscc} 在文件中出现两次，且内容不同", "每家企业只保留一行"
    )
