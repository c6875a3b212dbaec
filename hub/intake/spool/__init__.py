"""Spools, for connectors: rows that are read from a living system once and then lie in a file.

The third part of the connectors' SDK, for systems that cannot promise the same rows in the same order twice.
"""

from hub.intake.spool.cursor import CursorState
from hub.intake.spool.file import BATCH_ROWS, Mark, Spool, SpoolWriter, digest, replace, write_json
from hub.intake.spool.lines import dump_all
from hub.intake.spool.portion import ReadRows, Reports, SpoolPortion, portion_id
from hub.intake.spool.spooled_source import SpooledSource
from hub.intake.spool.table_source import TableSettings, TableSource
from hub.intake.spool.values import Values, dump, loader, plain

__all__ = [
    "BATCH_ROWS",
    "CursorState",
    "Mark",
    "ReadRows",
    "Reports",
    "Spool",
    "SpoolPortion",
    "SpoolWriter",
    "SpooledSource",
    "TableSettings",
    "TableSource",
    "Values",
    "digest",
    "dump",
    "dump_all",
    "loader",
    "plain",
    "portion_id",
    "replace",
    "write_json",
]
