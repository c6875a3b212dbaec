"""Intake: what legacy systems know becomes events, once. This module is the connectors' SDK.

A connector imports from here, from ``hub.intake.mapping`` (cells to fields) and ``hub.intake.spool``
(rows of living systems, and the base of small connectors), and from nowhere else in the hub. It offers a
``Source`` whose ``Portion``s give ``Row``s and ``RowFault``s; versions, identities, publishing, positions
and the list of problems are the engine's work. docs/connectors.md leads through it.
"""

from hub.domain.calendar import local_date
from hub.domain.characters import mask, mask_personal, shorten_personal
from hub.domain.identifiers import Judgement, judge
from hub.domain.source_manifest import SourceManifest
from hub.errors import ContractError, InfrastructureError, InputError, UsageError
from hub.intake.errors_file import write_errors
from hub.intake.guards.manifest_box import MANIFEST_NAME
from hub.intake.held import Held, HeldPortions
from hub.intake.json_records import doubled_names, flatten, json_faults, look_up, parse_json
from hub.intake.rows import (
    Batch,
    CountedSource,
    Counts,
    Handle,
    LoggedProblem,
    Place,
    Portion,
    Problem,
    Refusal,
    Row,
    RowFault,
    Source,
    TableReading,
)
from hub.intake.settings import ConnectorSettings, EncodingName, MappingName, SourcePath, setting
from hub.intake.sources import SourceConfig, SourceContext, load_sources
from hub.intake.uploads.contract import UPLOADS, RawRow, UploadFiles

__all__ = [
    "MANIFEST_NAME",
    "UPLOADS",
    "Batch",
    "ConnectorSettings",
    "ContractError",
    "CountedSource",
    "Counts",
    "EncodingName",
    "Handle",
    "Held",
    "HeldPortions",
    "InfrastructureError",
    "InputError",
    "Judgement",
    "LoggedProblem",
    "MappingName",
    "Place",
    "Portion",
    "Problem",
    "RawRow",
    "Refusal",
    "Row",
    "RowFault",
    "Source",
    "SourceConfig",
    "SourceContext",
    "SourceManifest",
    "SourcePath",
    "TableReading",
    "UploadFiles",
    "UsageError",
    "doubled_names",
    "flatten",
    "json_faults",
    "judge",
    "load_sources",
    "local_date",
    "look_up",
    "mask",
    "mask_personal",
    "parse_json",
    "setting",
    "shorten_personal",
    "write_errors",
]
