"""Disclosure: what may be public goes to the channels, and their receipts come back. This module is the sinks' SDK.

A sink imports from here and from nowhere else in the hub. It offers a ``Sink`` that sends ``Order``s and gives
``Receipt``s; order, retries, batches, outages and what stands on the log are the stage's work. docs/connectors.md leads
through it.
"""

from hub.bus.http_client import TIMEOUT_SECONDS, Answer, HttpClient, RequestFailedError
from hub.bus.http_wire import MAX_ANSWER_BYTES
from hub.contracts.connector_settings import ConnectorSettings, SettingsPath, setting
from hub.contracts.fields import Field
from hub.disclosure.exchange import (
    Batch,
    Change,
    Draft,
    FileExchangeSettings,
    FileFormat,
    FileSink,
    IncompleteFileError,
    Ledger,
    ReceiptFile,
    ReceiptFileError,
    RowAnswer,
    Standing,
    change_of,
    digest_of,
    write_whole,
)
from hub.disclosure.refusal import refusal_of, refusal_text
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
    "MAX_ANSWER_BYTES",
    "MAX_REASON",
    "MAX_REFERENCE",
    "REFUSED",
    "STATUSES",
    "TIMEOUT_SECONDS",
    "Action",
    "Answer",
    "AttemptFailedError",
    "Batch",
    "BatchRefusedError",
    "Capabilities",
    "Change",
    "ConnectorSettings",
    "ContractError",
    "Draft",
    "Field",
    "FileExchangeSettings",
    "FileFormat",
    "FileSink",
    "HttpClient",
    "IncompleteFileError",
    "InputError",
    "Ledger",
    "NotYet",
    "Order",
    "PublicRecord",
    "Receipt",
    "ReceiptFile",
    "ReceiptFileError",
    "RequestFailedError",
    "Result",
    "RowAnswer",
    "SettingsPath",
    "Sink",
    "SinkContext",
    "Standing",
    "TryAgain",
    "UsageError",
    "change_of",
    "digest_of",
    "instant_text",
    "refusal_of",
    "refusal_text",
    "setting",
    "to_json",
    "to_plain",
    "write_whole",
]
