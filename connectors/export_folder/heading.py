"""Finding the row of headings, and the mapping that it belongs to."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from itertools import islice
from typing import NamedTuple

from connectors.export_folder.table import MAX_COLUMNS, MAX_HEADING_ROWS, Sheet
from hub.intake import Refusal
from hub.intake.mapping import Fit, Layout, RowMapping, fit, heading_form


class Heading(NamedTuple):
    """Where the headings stand: the sheet, the row's number, and the mapping's columns in it."""

    sheet: Sheet
    row: int
    layout: Layout

    @property
    def mapping(self) -> RowMapping:
        """The mapping whose headings they are."""
        return self.layout.mapping


def find_heading(sheets: Sequence[Sheet], mappings: Sequence[RowMapping]) -> Heading:
    """The first sheet whose first rows hold all required headings of exactly one mapping.

    :raises Refusal: when there is none, telling what is missing and what comes near it; when two
        mappings fit; when a heading stands twice.
    """
    nearest: tuple[int, Fit, list[str]] | None = None
    has_row = False
    for sheet in sheets:
        for number, cells in islice(sheet.rows(), MAX_HEADING_ROWS):
            if not isinstance(cells, list):
                continue
            cells = cells[:MAX_COLUMNS]
            has_row = has_row or any(cell.strip(" ,;|\t") for cell in cells)
            forms = [heading_form(cell) if cell else "" for cell in cells]
            fits = [fit(mapping, forms) for mapping in mappings]
            whole = [found for found in fits if not found.missing]
            if len(whole) > 1:
                titles = "、".join(found.mapping.title for found in whole)
                raise Refusal(
                    "two-mappings",
                    f"表头同时符合多种模板：{titles}。请联系管理员。",
                    f"Two mappings fit: {', '.join(found.mapping.kind for found in whole)}.",
                )
            if whole:
                best = whole[0]
                if best.doubles:
                    names = "、".join(best.doubles)
                    raise Refusal(
                        "heading-twice",
                        f"表头重复：{names}。每个列名只能出现一次。",
                        f"Headings that stand twice: {names}.",
                    )
                written = {index: cell.strip() for index, cell in enumerate(cells) if cell.strip()}
                return Heading(sheet, number, Layout(best.mapping, best.columns, written, sheet.is_1904))
            best = max(fits, key=lambda found: len(found.columns))
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


def _missing(found: Fit, written: list[str]) -> Refusal:
    hints, english = [], []
    taken = {heading_form(name) for name in found.columns}
    free = [text for text in written if heading_form(text) not in taken]
    for name in found.missing:
        near = difflib.get_close_matches(name, free, n=1, cutoff=0.5)
        hints.append(f"“{name}”" + (f"（最接近的是“{near[0]}”）" if near else ""))
        english.append(name + (f" (nearest: {near[0]})" if near else ""))
    return Refusal(
        "missing-headings",
        f"按“{found.mapping.title}”模板，缺少列：{'、'.join(hints)}。请按模板修改表头。",
        f"Headings of {found.mapping.kind} that are missing: {', '.join(english)}.",
    )
