"""Intake: what legacy systems know becomes events, once. This module is the connectors' SDK.

A connector imports from here and from nowhere else in the hub. It offers a ``Source`` whose
``Portion``s give ``Row``s and ``RowFault``s; versions, identities, publishing, positions and the
list of problems are the engine's work.
"""

from hub.domain.identifiers import Judgement, judge
from hub.errors import ContractError, InfrastructureError, InputError, UsageError
from hub.intake.rows import (
    Batch,
    Counts,
    LoggedProblem,
    Place,
    Portion,
    Problem,
    Refusal,
    Row,
    RowFault,
    Source,
    mask,
    mask_personal,
)
from hub.intake.sources import SourceConfig, SourceContext, load_sources

__all__ = [
    "Batch",
    "ContractError",
    "Counts",
    "InfrastructureError",
    "InputError",
    "Judgement",
    "LoggedProblem",
    "Place",
    "Portion",
    "Problem",
    "Refusal",
    "Row",
    "RowFault",
    "Source",
    "SourceConfig",
    "SourceContext",
    "UsageError",
    "judge",
    "load_sources",
    "mask",
    "mask_personal",
]
