"""Disclosure: what may be public goes to the channels, and their receipts come back. This module is the sinks' SDK.

A sink imports from here and from nowhere else in the hub. It offers a ``Sink`` that sends ``Order``s and gives
``Receipt``s; order, retries, batches, outages and what stands on the log are the stage's work. docs/connectors.md leads
through it.
"""

from hub.bus.http_client import TIMEOUT_SECONDS, Answer, HttpClient, RequestFailedError
from hub.contracts.connector_settings import ConnectorSettings, SettingsPath, setting
from hub.contracts.fields import Field
from hub.disclosure.sink import (
    MAX_REASON,
    MAX_REFERENCE,
    REFUSED,
    STATUSES,
    Action,
    AttemptFailedError,
    BatchRefusedError,
    Capabilities,
    NotYet,
    Order,
    PublicRecord,
    Receipt,
    Result,
    Sink,
    SinkContext,
    TryAgain,
)
from hub.domain.plain import instant_text, to_json, to_plain
from hub.errors import ContractError, InputError, UsageError

__all__ = [
    "MAX_REASON",
    "MAX_REFERENCE",
    "REFUSED",
    "STATUSES",
    "TIMEOUT_SECONDS",
    "Action",
    "Answer",
    "AttemptFailedError",
    "BatchRefusedError",
    "Capabilities",
    "ConnectorSettings",
    "ContractError",
    "Field",
    "HttpClient",
    "InputError",
    "NotYet",
    "Order",
    "PublicRecord",
    "Receipt",
    "RequestFailedError",
    "Result",
    "SettingsPath",
    "Sink",
    "SinkContext",
    "TryAgain",
    "UsageError",
    "instant_text",
    "setting",
    "to_json",
    "to_plain",
]
