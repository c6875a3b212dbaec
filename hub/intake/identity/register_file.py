"""A register of enterprises as a file: CSV with Chinese headings, UTF-8 or GB18030."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from hub.domain.identifiers import is_uscc, judge, normalise
from hub.domain.matching import Enterprise
from hub.errors import InputError

#: Field -> the headings that mean it; the first is how it is told.
HEADINGS: Mapping[str, tuple[str, ...]] = {
    "uscc": ("统一社会信用代码", "社会信用代码", "信用代码"),
    "name": ("企业名称", "名称", "市场主体名称", "主体名称"),
    "region": ("行政区划", "所在区划", "行政区划代码", "所在县市"),
    "legal_representative": ("法定代表人", "法定代表人或负责人", "负责人", "经营者"),
    "registration_number": ("注册号", "工商注册号"),
    "former_names": ("曾用名",),
}
_REQUIRED = ("uscc", "name")
_MAX_NAME, _MAX_PERSON = 200, 50


class RegisterFault(NamedTuple):
    """A row that was not taken; ``row`` as a spreadsheet counts it. A value is shown for codes alone."""

    row: int
    column: str
    problem: str
    remedy: str


def read_register_file(path: Path, regions: Mapping[str, str]) -> Iterator[tuple[int, Enterprise | RegisterFault]]:
    """Row by row, with its number: the enterprise, or what is wrong. ``regions`` maps names of regions to codes.

    Raises InputError if the file cannot be read at all, naming what would be right.
    """
    rows = csv.reader(io.StringIO(_text(path)))
    places: dict[str, int] = {}
    for number, row in enumerate(rows, 1):
        if not any(cell.strip() for cell in row):
            continue
        if not places:
            places = _places(row, path)
            continue
        cells = {field: row[at].strip() if at < len(row) else "" for field, at in places.items()}
        yield number, _enterprise(number, cells, regions)
    if not places:
        raise InputError(f"{path.name}: the file is empty; its first row are headings: {'、'.join(_wanted())}")


def _text(path: Path) -> str:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from error
    for encoding in ("utf-8-sig", "gb18030"):
        try:
            return data.decode(encoding)
        except UnicodeDecodeError:
            continue
    raise InputError(f"{path.name}: neither UTF-8 nor GB18030; save it as CSV UTF-8")


def _wanted() -> list[str]:
    return [names[0] for names in HEADINGS.values()]


def _places(row: list[str], path: Path) -> dict[str, int]:
    known = {heading: field for field, headings in HEADINGS.items() for heading in headings}
    places: dict[str, int] = {}
    for at, cell in enumerate(row):
        field = known.get("".join(cell.split()))
        if field is not None:
            places.setdefault(field, at)
    missing = [HEADINGS[field][0] for field in _REQUIRED if field not in places]
    if missing:
        raise InputError(
            f"{path.name}: the first row has no heading {'、'.join(missing)}; headings are: {'、'.join(_wanted())}"
        )
    return places


def _enterprise(number: int, cells: Mapping[str, str], regions: Mapping[str, str]) -> Enterprise | RegisterFault:
    def fault(field: str, problem: str, remedy: str) -> RegisterFault:
        return RegisterFault(number, HEADINGS[field][0], problem, remedy)

    code = normalise(cells["uscc"])
    if not is_uscc(code):
        found = judge(code)
        # What looks like a person's number is not repeated.
        shown = "" if found.kind == "id-card" else f"：{code[:30]}"
        return fault("uscc", f"不是有效的统一社会信用代码{shown}", "应为 18 位、校验码正确的统一社会信用代码")
    name = cells["name"]
    if not 2 <= len(name) <= _MAX_NAME:
        return fault("name", "名称为空、过短或过长", f"应为 2 至 {_MAX_NAME} 字的登记名称")
    given = cells.get("region", "")
    region = regions.get(given, given) if given else code[2:8]
    if not (len(region) == 6 and region.isdecimal()):
        return fault("region", f"不认识的行政区划：{given[:30]}", "应为六位行政区划代码，或县市名称")
    person = cells.get("legal_representative", "")
    if len(person) > _MAX_PERSON:
        return fault("legal_representative", "姓名过长", f"最多 {_MAX_PERSON} 字")
    registration = normalise(cells.get("registration_number", ""))
    if registration and not (13 <= len(registration) <= 15 and registration.isdecimal()):
        return fault("registration_number", "不是注册号", "应为 13 至 15 位数字，或留空")
    former = cells.get("former_names", "")
    for mark in "；;,，":
        former = former.replace(mark, "、")
    return Enterprise(
        code, name, region, person or None, registration or None,
        tuple(each.strip()[:_MAX_NAME] for each in former.split("、") if each.strip()),
    )
