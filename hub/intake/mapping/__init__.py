"""Mappings as data, for connectors: from the cells of a row to the fields of an event.

The second half of the connectors' SDK, used by those whose rows come out of a file or a table.
"""

from hub.intake.mapping.columns import check_mapping
from hub.intake.mapping.layout import Fit, Layout, fit, heading_form, layout_of
from hub.intake.mapping.model import RowMapping, load_mapping, mapping_names
from hub.intake.mapping.natives import as_text
from hub.intake.mapping.parsers import ValueFault
from hub.intake.mapping.reader import RowReader
from hub.intake.mapping.words import broken_row_fault

__all__ = [
    "Fit",
    "Layout",
    "RowMapping",
    "RowReader",
    "ValueFault",
    "as_text",
    "broken_row_fault",
    "check_mapping",
    "fit",
    "heading_form",
    "layout_of",
    "load_mapping",
    "mapping_names",
]
