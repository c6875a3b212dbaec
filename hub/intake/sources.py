"""``sources.yaml``: which department's system is read, from where, by which connector."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, model_validator

from hub.errors import ContractError

#: Also part of event sources, Redis keys and file names, hence the narrow alphabet.
Name = Annotated[str, StringConstraints(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$", max_length=60)]


class SourceConfig(BaseModel):
    """One department's system.

    ``department_code`` and ``department_name`` are the department that answers for the data,
    ``region_code`` its region (GB/T 2260). ``mappings`` are names of the connector's own mapping
    files, or paths of files, relative to ``sources.yaml``. ``check_digit`` says what becomes of a
    code of the right form whose check digit fails: ``warn`` takes the row and tells the sender,
    ``refuse`` rejects it. ``errors`` is the form of the list of problems that goes back.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Name
    connector: str = "export-folder"
    folder: Path
    department_code: Annotated[str, StringConstraints(pattern=r"^[0-9A-Z]{18}$")]
    department_name: Annotated[str, StringConstraints(min_length=1, max_length=100)]
    region_code: Annotated[str, StringConstraints(pattern=r"^\d{6}$")]
    mappings: Annotated[list[str], Field(min_length=1)]
    check_digit: Literal["warn", "refuse"] = "warn"
    errors: Literal["xlsx", "csv"] = "xlsx"
    #: A file must have kept its size and time for so long before it is read.
    settle_seconds: Annotated[float, Field(ge=0, le=3600)] = 1.0
    #: Larger files are refused; a million rows of an export are about 0.4 GB.
    max_file_bytes: Annotated[int, Field(gt=0)] = 4 * 1024**3


class SourcesFile(BaseModel):
    """The whole of ``sources.yaml``."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    sources: list[SourceConfig]

    @model_validator(mode="after")
    def _names_and_folders_are_unique(self) -> SourcesFile:
        for what, values in (
            ("name", [source.name for source in self.sources]),
            ("folder", [str(source.folder) for source in self.sources]),
        ):
            doubles = sorted({value for value in values if values.count(value) > 1})
            if doubles:
                raise ValueError(f"{what} used twice: {', '.join(doubles)}")
        return self


def load_sources(path: Path) -> dict[str, SourceConfig]:
    """The sources by name; folders and mapping paths are made absolute, seen from the file's folder.

    :raises ContractError: naming every fault, when the file is missing or wrong.
    """
    try:
        data = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ContractError(f"{path}: cannot be read: {error.strerror}") from error
    except yaml.YAMLError as error:
        raise ContractError(f"{path}: no valid YAML: {error}") from error
    try:
        parsed = SourcesFile.model_validate(_read_by_intake(data))
    except ValidationError as error:
        raise ContractError(f"{path}:\n{describe(error)}") from error
    base = path.resolve().parent
    return {
        source.name: source.model_copy(
            update={
                "folder": base / source.folder.expanduser(),
                "mappings": [
                    str(base / name) if name.endswith((".yaml", ".yml")) else name for name in source.mappings
                ],
            }
        )
        for source in parsed.sources
    }


def _read_by_intake(data: object) -> object:
    """Without the sources that nobody reads: they hand in by HTTP, see ``hub.intake.http_sources``."""
    entries = data.get("sources") if isinstance(data, dict) else None
    if not isinstance(data, dict) or not isinstance(entries, list):
        return data
    is_read = [not isinstance(entry, dict) or entry.get("connector") != "http" for entry in entries]
    return {**data, "sources": [entry for entry, keep in zip(entries, is_read, strict=True) if keep]}


def describe(error: ValidationError) -> str:
    """Every fault of a validation in a line of its own: where, and what."""
    return "\n".join(
        f"  {'.'.join(map(str, fault['loc'])) or 'file'}: {fault['msg']}" for fault in error.errors()
    )


@dataclass(frozen=True, slots=True)
class FieldRule:
    """What a connector needs to know of a schema's field.

    ``codes`` maps accepted texts to codes where the field has a code list, else ``None``.
    ``is_masked`` is true for ID numbers, phones and the like: their values never go into a
    problem's text.
    """

    name: str
    title: str
    max_length: int | None
    codes: Mapping[str, str] | None
    is_masked: bool
    has_default: bool


@dataclass(frozen=True, slots=True)
class SourceContext:
    """What the hub lends to a connector: its configuration, its fields, and code lists by name.

    ``fields(schema)`` gives the rules of all fields of a schema; ``codes(name)`` a code list as
    text -> code, with titles and codes both as texts. Both raise ``ContractError`` if unknown.
    """

    config: SourceConfig
    fields: Callable[[str], Mapping[str, FieldRule]]
    codes: Callable[[str], Mapping[str, str]]
