"""Where the columns of a mapping stand among the headings of a file, or the columns of a table."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from hub.errors import ContractError
from hub.intake.mapping.model import RowMapping
from hub.intake.mapping.parsers import compact

_MARKS = re.compile(r"^\*+|\*+$|\((?:必填|选填|必填项|非必填)\)|[:：]$")


def heading_form(text: str) -> str:
    """A heading as it is compared: half-width, no white space, no stars and no 必填."""
    return _MARKS.sub("", compact(text)).casefold()


class Layout(NamedTuple):
    """A mapping in its place: index of the column of each heading (canonical name of the mapping ->
    index), and the headings as written (index -> text). ``is_1904`` says from which day serial
    numbers count, where dates are serial numbers."""

    mapping: RowMapping
    columns: dict[str, int]
    written: dict[int, str]
    is_1904: bool = False


class Fit(NamedTuple):
    """How a mapping fits a row of headings: ``missing`` are those it cannot do without, ``doubles`` those
    (in their compared form) that stand twice and are used."""

    mapping: RowMapping
    columns: dict[str, int]
    missing: list[str]
    doubles: list[str]


def fit(mapping: RowMapping, forms: Sequence[str]) -> Fit:
    """Looks for a mapping's headings in ``forms``, which are in the form of ``heading_form``."""
    at: dict[str, int] = {}
    doubles: list[str] = []
    for index, form in enumerate(forms):
        if form in at:
            doubles.append(form)
        elif form:
            at[form] = index
    columns: dict[str, int] = {}
    missing: list[str] = []
    for column in mapping.columns:
        for name in (column.heading, *column.aliases, *column.readings):
            if (form := heading_form(name)) in at:
                columns[name] = at[form]
                break
        else:
            if column.required and column.default is None and column.default_field is None:
                missing.append(column.heading)
    for group in mapping.groups:
        for number, member in enumerate(group.members.values()):
            for name in (member.heading, *member.aliases):
                if (form := heading_form(name)) in at:
                    columns[member.heading] = at[form]
                    break
            else:
                if group.required and number == 0:
                    missing.append(member.heading)
    used = set(columns.values())
    return Fit(mapping, columns, missing, [form for form in doubles if at[form] in used])


def layout_of(mapping: RowMapping, names: Sequence[str]) -> Layout:
    """The layout of a table with columns of these names.

    :raises ContractError: naming the columns that are missing, and those that are there.
    """
    found = fit(mapping, [heading_form(name) for name in names])
    if found.missing or found.doubles:
        faults = [f"no column {name}" for name in found.missing]
        faults += [f"column {name} is there twice" for name in found.doubles]
        raise ContractError(
            f"mapping {mapping.kind}: {'; '.join(faults)}; the columns are: {', '.join(names)}"
        )
    return Layout(mapping, found.columns, dict(enumerate(names)))
