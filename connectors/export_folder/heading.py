"""Finding the row of headings, and the mapping that it belongs to."""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence
from itertools import islice
from typing import NamedTuple

from connectors.export_folder.mapping import ExportMapping
from connectors.export_folder.parsers import compact
from connectors.export_folder.table import MAX_COLUMNS, MAX_HEADING_ROWS, Sheet
from hub.intake import Refusal

_MARKS = re.compile(r"^\*+|\*+$|\((?:必填|选填|必填项|非必填)\)|[:：]$")


def heading_form(text: str) -> str:
    """A heading as it is compared: half-width, no white space, no stars and no 必填."""
    return _MARKS.sub("", compact(text)).casefold()


class Heading(NamedTuple):
    """Where the headings stand: sheet, mapping, row number, index of the column of each heading
    (canonical name of the mapping -> index), and the headings as written (index -> text)."""

    sheet: Sheet
    mapping: ExportMapping
    row: int
    columns: dict[str, int]
    written: dict[int, str]


class _Fit(NamedTuple):
    mapping: ExportMapping
    columns: dict[str, int]
    missing: list[str]
    doubles: list[str]


def find_heading(sheets: Sequence[Sheet], mappings: Sequence[ExportMapping]) -> Heading:
    """The first sheet whose first rows hold all required headings of exactly one mapping.

    :raises Refusal: when there is none, telling what is missing and what comes near it; when two
        mappings fit; when a heading stands twice.
    """
    nearest: tuple[int, _Fit, list[str]] | None = None
    has_row = False
    for sheet in sheets:
        for number, cells in islice(sheet.rows(), MAX_HEADING_ROWS):
            if not isinstance(cells, list):
                continue
            cells = cells[:MAX_COLUMNS]
            has_row = has_row or any(cell.strip(" ,;|\t") for cell in cells)
            forms = [heading_form(cell) if cell else "" for cell in cells]
            fits = [_fit(mapping, forms) for mapping in mappings]
            whole = [fit for fit in fits if not fit.missing]
            if len(whole) > 1:
                titles = "、".join(fit.mapping.title for fit in whole)
                raise Refusal(
                    "two-mappings",
                    f"表头同时符合多种模板：{titles}。请联系管理员。",
                    f"Two mappings fit: {', '.join(fit.mapping.kind for fit in whole)}.",
                )
            if whole:
                fit = whole[0]
                if fit.doubles:
                    names = "、".join(fit.doubles)
                    raise Refusal(
                        "heading-twice",
                        f"表头重复：{names}。每个列名只能出现一次。",
                        f"Headings that stand twice: {names}.",
                    )
                written = {index: cell.strip() for index, cell in enumerate(cells) if cell.strip()}
                return Heading(sheet, fit.mapping, number, fit.columns, written)
            best = max(fits, key=lambda fit: len(fit.columns))
            if best.columns and (nearest is None or len(best.columns) > nearest[0]):
                nearest = (len(best.columns), best, [cell.strip() for cell in cells if cell.strip()])
    if nearest is None:
        if not has_row:
            raise Refusal("empty", "文件中没有内容。", "The file has no content.")
        kinds = "、".join(mapping.title for mapping in mappings)
        raise Refusal(
            "no-heading",
            f"前 {MAX_HEADING_ROWS} 行中没有找到表头。本文件夹接收：{kinds}。",
            f"No row of headings within the first {MAX_HEADING_ROWS} rows. "
            f"This folder takes: {', '.join(mapping.kind for mapping in mappings)}.",
        )
    raise _missing(nearest[1], nearest[2])


def _fit(mapping: ExportMapping, forms: list[str]) -> _Fit:
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
    return _Fit(mapping, columns, missing, [form for form in doubles if at[form] in used])


def _missing(fit: _Fit, written: list[str]) -> Refusal:
    hints, english = [], []
    taken = {heading_form(name) for name in fit.columns}
    free = [text for text in written if heading_form(text) not in taken]
    for name in fit.missing:
        near = difflib.get_close_matches(name, free, n=1, cutoff=0.5)
        hints.append(f"“{name}”" + (f"（最接近的是“{near[0]}”）" if near else ""))
        english.append(name + (f" (nearest: {near[0]})" if near else ""))
    return Refusal(
        "missing-headings",
        f"按“{fit.mapping.title}”模板，缺少列：{'、'.join(hints)}。请按模板修改表头。",
        f"Headings of {fit.mapping.kind} that are missing: {', '.join(english)}.",
    )
