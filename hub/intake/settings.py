"""Settings of a source: what every connector's settings are, and the types that sources add."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, ValidationInfo

from hub.contracts.connector_settings import ConnectorSettings as ConnectorSettings
from hub.contracts.connector_settings import SettingsPath
from hub.contracts.connector_settings import fault_lines as fault_lines
from hub.contracts.connector_settings import parse_settings as parse_settings
from hub.contracts.connector_settings import setting as setting
from hub.contracts.connector_settings import settings_schema as settings_schema
from hub.contracts.connector_settings import settings_table as settings_table


def _mapping_seen_from_the_file(name: str, info: ValidationInfo) -> str:
    base = (info.context or {}).get("base")
    return str(Path(base) / name) if base is not None and name.endswith((".yaml", ".yml")) else name


def _is_an_encoding(name: str) -> str:
    try:
        b" ".decode(name)
    except LookupError:
        raise ValueError("unknown encoding") from None
    return name


#: Name of an encoding of text.
EncodingName = Annotated[str, AfterValidator(_is_an_encoding)]
#: A path; a relative one is seen from the folder of ``sources.yaml``.
SourcePath = SettingsPath
#: The name of a mapping that the connector brings along, or a YAML file seen from ``sources.yaml``.
MappingName = Annotated[str, AfterValidator(_mapping_seen_from_the_file)]
