"""The sources that hand in by HTTP: entries of ``sources.yaml`` with ``connector: http``."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from hub.domain.facts import OWN_SYSTEM, Way
from hub.errors import ContractError
from hub.intake.settings import fault_lines
from hub.intake.sources import Name, RhythmText

HTTP = "http"
EventName = Annotated[str, StringConstraints(pattern=r"^[a-z]+(-[a-z]+)*\.[a-z]+(-[a-z]+)*\.([a-z]+|\*)$")]


class HttpSource(BaseModel):
    """One department's system that hands in by ``POST /v1/events``.

    ``events`` are the event types that it may hand in; ``inspection.result.*`` are all of that noun.
    The others are as for other sources: ``check_digit: warn`` takes the event and says so, ``refuse`` refuses it;
    ``identity: register`` asks the register of enterprises whose a record without a valid code is; ``way`` says by
    which way it reports. With ``manifest`` a manifest of every working day is expected at ``POST /v1/manifests``.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Name
    connector: Literal["http"]
    department_code: Annotated[str, StringConstraints(pattern=r"^[0-9A-Z]{18}$")]
    department_name: Annotated[str, StringConstraints(min_length=1, max_length=100)]
    region_code: Annotated[str, StringConstraints(pattern=r"^\d{6}$")]
    events: Annotated[tuple[EventName, ...], Field(min_length=1, max_length=100)]
    check_digit: Literal["warn", "refuse"] = "warn"
    identity: Literal["as-given", "register"] = "as-given"
    way: Way = OWN_SYSTEM
    rhythm: RhythmText | None = None
    manifest: bool = False


def load_http_sources(path: Path, known: Mapping[str, str]) -> dict[str, HttpSource]:
    """The HTTP sources by name; none where there is no file. ``known`` maps the event types that are
    departments' facts to their topics.

    :raises ContractError: naming every fault, when the file is wrong or an event type is nobody's.
    """
    try:
        data = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise ContractError(f"{path}: cannot be read: {error.strerror}") from error
    except yaml.YAMLError as error:
        raise ContractError(f"{path}: no valid YAML: {error}") from error
    entries = data.get("sources") if isinstance(data, dict) else None
    if not isinstance(entries, list):
        raise ContractError(f"{path}: has no list of sources")
    names = [entry.get("name") for entry in entries if isinstance(entry, dict)]
    found: dict[str, HttpSource] = {}
    faults: list[str] = []
    for number, entry in enumerate(entries):
        if not isinstance(entry, dict) or entry.get("connector") != HTTP:
            continue
        try:
            source = HttpSource.model_validate(entry)
        except ValidationError as error:
            faults += [f"  sources.{number}: {fault}" for fault in fault_lines(error)]
            continue
        if names.count(source.name) > 1:
            faults.append(f"  sources.{number}: name used twice: {source.name}")
        faults += [
            f"  sources.{number}.events: no topic of the map carries {each}" for each in source.events
            if not matching((each,), known)
        ]
        found[source.name] = source
    if faults:
        raise ContractError("\n".join([f"{path}:", *faults]))
    return found


def matching(patterns: tuple[str, ...], types: Mapping[str, str]) -> frozenset[str]:
    """The event types among ``types`` that ``patterns`` name."""
    return frozenset(
        type_ for type_ in types
        if any(type_ == each or (each.endswith(".*") and type_.startswith(each[:-1])) for each in patterns)
    )
