"""What sinks share whose channel takes rows in numbered batches: by files, or by requests that number them."""

from hub.disclosure.exchange.batches import Batch, Draft
from hub.disclosure.exchange.files import (
    FileExchange,
    FileFormat,
    IncompleteFileError,
    ReceiptFile,
    ReceiptFileError,
    RowAnswer,
)
from hub.disclosure.exchange.ledger import Ledger, Sorted
from hub.disclosure.exchange.sink import FileExchangeSettings, FileSink
from hub.disclosure.exchange.standing import Change, Standing, change_of, digest_of
from hub.disclosure.exchange.whole import write_whole

__all__ = [
    "Batch",
    "Change",
    "Draft",
    "FileExchange",
    "FileExchangeSettings",
    "FileFormat",
    "FileSink",
    "IncompleteFileError",
    "Ledger",
    "ReceiptFile",
    "ReceiptFileError",
    "RowAnswer",
    "Sorted",
    "Standing",
    "change_of",
    "digest_of",
    "write_whole",
]
