"""Adding to the files under ``reference/calendars``: a day, or a year. What stands there stays as it is.

The text is changed where the new day belongs, then the whole folder is loaded from a copy, and only if
every day of it is as it should be, the file is replaced in one step.
"""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Iterator, Mapping
from datetime import date
from pathlib import Path
from typing import Any, Literal

import yaml

from hub.contracts.calendars import load_calendars
from hub.domain.calendar import Calendar
from hub.errors import ContractError, InputError

Kind = Literal["rest", "work"]
_WEEKDAYS = "一二三四五六日"
_KINDS: tuple[Kind, ...] = ("rest", "work")
_TITLE = re.compile(r"^[\w（）()〔〕·—-]{1,40}$")


def add_day(root: Path, name: str, day: date, kind: Kind, title: str, notice: str) -> Path:
    """Adds a day off or a worked weekend day under its title; the notice stands above it as a comment.

    Returns the file. Raises InputError naming file, day and what would be right; nothing is written then.
    """
    path = _path_of(root, name)
    calendar = load_calendars(root)[name]
    _check_title(path, title)
    fault = _fault_of(calendar, path, day, kind)
    if fault:
        raise InputError(f"{path}: {day} {fault}")
    text = path.read_text(encoding="utf-8")
    remark = f"{day} {title}: {_one_line(notice)}"
    _replace(root, path, _with_day(path, text, day, kind, title, remark), {day: kind}, name)
    return path


def add_year(root: Path, name: str, year: int, source: Path, notice: str | None = None) -> Path:
    """Adds the year that follows the last one, with the days of ``source``.

    ``source`` holds ``notice``, ``rest`` and ``work`` as a year of a calendar file does, at its top or
    under the year. Raises InputError, naming every wrong day of it; nothing is written then.
    """
    path = _path_of(root, name)
    calendars = load_calendars(root)
    parts = _year_of(source, year)
    years = _years_of(path)
    if year in years:
        raise InputError(f"{path}: {year}年已在文件中，请逐日添加 ({year} is there already: add single days)")
    if year != max(years) + 1:
        raise InputError(f"{path}: 应先添加{max(years) + 1}年 ({max(years) + 1} comes first)")
    base = calendars[name].base
    if base is not None and year > calendars[base].last_year:
        raise InputError(
            f"{path}: {base} 还没有{year}年，应先添加 {base} (add {year} to {base} first: {name} extends it)"
        )
    notice = _one_line(notice or str(parts.get("notice") or ""))
    if not notice:
        raise InputError(f"{source}: 缺少依据文件，请写 notice: 或用 --notice (the notice is missing)")
    days = _days_of(source, year, parts)
    text = path.read_text(encoding="utf-8")
    lines = text.splitlines(keepends=True)
    end = _last_line(_value(_root(path, text), "years"))
    added = [f"  {year}:\n", f"    notice: {_scalar(notice)}\n"]
    for kind in _KINDS:
        titles = parts.get(kind) or {}
        added.append(f"    {kind}:\n" if titles else f"    {kind}: {{}}\n")
        for title, found in titles.items():
            added.append(f"      {_scalar(title)}: [{', '.join(map(str, sorted(found)))}]\n")
    if not lines[end].endswith("\n"):
        lines[end] += "\n"
    lines[end + 1:end + 1] = added
    _replace(root, path, "".join(lines), days, name)
    return path


def _path_of(root: Path, name: str) -> Path:
    folder = root / "reference" / "calendars"
    names = {}
    for path in sorted(folder.glob("*.yaml")):
        data = yaml.safe_load(path.read_text(encoding="utf-8"))
        names[str(data.get("calendar"))] = path
    if name not in names:
        known = ", ".join(sorted(names)) or "-"
        raise InputError(f"{folder}: 没有日历 {name!r}，有 {known} (no such calendar)")
    return names[name]


def _years_of(path: Path) -> list[int]:
    return sorted(yaml.safe_load(path.read_text(encoding="utf-8"))["years"])


def _fault_of(calendar: Calendar, path: Path, day: date, kind: Kind) -> str | None:
    """Why the day cannot be added, and what would be right; ``None`` if it can."""
    said = f"是星期{_WEEKDAYS[day.weekday()]}"
    is_weekend = day.weekday() >= 5
    if kind == "rest" and is_weekend:
        if day in calendar.worked:
            return (
                f"{said}，按“{calendar.worked[day]}”上班：请从 work 中删去这一天"
                " (a worked weekend day: take it out of work in the file that has it)"
            )
        return f"{said}，本来就休息，不必添加；周末上班用 --work (is off anyway; --rest is for Monday to Friday)"
    if kind == "work" and not is_weekend:
        if day in calendar.off:
            return (
                f"{said}，按“{calendar.off[day]}”休息：请从 rest 中删去这一天"
                " (a day off: take it out of rest in the file that has it)"
            )
        return f"{said}，本来就上班，不必添加；平日休息用 --rest (counts anyway; --work is for Saturday and Sunday)"
    known = calendar.off.get(day) if kind == "rest" else calendar.worked.get(day)
    if known:
        state = "休息" if kind == "rest" else "上班"
        return f"已按“{known}”{state} (is there already)"
    if not calendar.is_published(day) or day.year not in _years_of(path):
        return (
            f"所在的{day.year}年不在文件中（有 {_years_of(path)[0]}-{_years_of(path)[-1]}）：整年公布后用"
            f" --year {day.year} --from FILE.yaml (its year is not there: a single day would publish the whole year)"
        )
    return None


def _check_title(path: Path, title: str) -> None:
    if not _TITLE.match(title):
        raise InputError(
            f"{path}: 名称 {title!r} 应为1至40个字，不含空格和标点，例如 国庆节 (a title is 1 to 40 letters, no blanks)"
        )


def _year_of(source: Path, year: int) -> Mapping[str, Any]:
    try:
        data = yaml.safe_load(source.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise InputError(f"{source}: 读不出 (cannot be read): {error}") from error
    if isinstance(data, dict) and "years" in data:
        data = data["years"]
    if isinstance(data, dict) and year in data:
        data = data[year]
    if not isinstance(data, dict) or not {"rest", "work"} & data.keys():
        raise InputError(f"{source}: 没有{year}年的 rest 或 work (holds no rest or work of {year})")
    return data


def _days_of(source: Path, year: int, parts: Mapping[str, Any]) -> dict[date, Kind]:
    """Every day with its kind. InputError with all that is wrong."""
    days: dict[date, Kind] = {}
    faults: list[str] = []
    for kind in _KINDS:
        titles = parts.get(kind) or {}
        if not isinstance(titles, dict) or not all(isinstance(found, list) for found in titles.values()):
            raise InputError(f"{source}: {kind} 应为 名称: [日期, …] (a title with a list of days each)")
        for title, found in titles.items():
            _check_title(source, str(title))
            for day in found:
                fault = _fault_in_year(year, day, kind)
                if fault is None and day in days:
                    fault = f"出现两次 (stands twice), {kind}/{title}"
                if fault:
                    faults.append(f"{source}: {kind}/{title}: {day} {fault}")
                else:
                    days[day] = kind
    if faults:
        raise InputError("\n".join(faults))
    return days


def _fault_in_year(year: int, day: object, kind: Kind) -> str | None:
    if not isinstance(day, date):
        return "不是 YYYY-MM-DD 日期 (not a date)"
    if day.year != year:
        return f"不在{year}年 (not of {year})"
    is_weekend = day.weekday() >= 5
    said = f"是星期{_WEEKDAYS[day.weekday()]}"
    if kind == "rest" and is_weekend:
        return f"{said}，本来就休息；rest 只列星期一至五 (rest lists Monday to Friday only)"
    if kind == "work" and not is_weekend:
        return f"{said}，本来就上班；work 只列星期六、日 (work lists Saturday and Sunday only)"
    return None


# -- the text ---------------------------------------------------------------------------------


def _with_day(path: Path, text: str, day: date, kind: Kind, title: str, remark: str) -> str:
    year = _value(_value(_root(path, text), "years"), str(day.year))
    titles = _find(year, kind)
    lines = text.splitlines(keepends=True)
    if titles is None:
        # The year has no such part: it goes behind the year's last line.
        place, indent = _last_line(year) + 1, _indent(year)
        lines[place:place] = [f"{indent}{kind}:\n", f"{indent}  # {remark}\n", f"{indent}  {_scalar(title)}: [{day}]\n"]
        return "".join(lines)
    if not isinstance(titles, yaml.MappingNode) or not titles.value:
        # `work: {}`, or nothing behind the colon.
        place = titles.start_mark.line
        head = lines[place][: lines[place].index(f"{kind}:")]
        lines[place:place + 1] = [f"{head}{kind}:\n", f"{head}  # {remark}\n", f"{head}  {_scalar(title)}: [{day}]\n"]
        return "".join(lines)
    if titles.flow_style:
        raise InputError(f"{path}: {kind} of {day.year} 应每个名称一行 (one line a title, no braces)")
    indent = _indent(titles)
    for key, days in titles.value:
        if key.value == title:
            if not isinstance(days, yaml.SequenceNode) or not days.flow_style or not days.value:
                raise InputError(f"{path}: {title} of {day.year} 应写作 [日期, …] (days in brackets)")
            later = next((item for item in days.value if item.value > str(day)), None)
            # The date goes in the order of the days; the remark above the line, which is looked at last.
            at = later.start_mark.index if later else days.value[-1].end_mark.index
            word = f"{day}, " if later else f", {day}"
            line = text.rfind("\n", 0, key.start_mark.index) + 1
            return f"{text[:line]}{indent}# {remark}\n{text[line:at]}{word}{text[at:]}"
    place = _last_line(titles) + 1
    if not lines[place - 1].endswith("\n"):
        lines[place - 1] += "\n"
    lines[place:place] = [f"{indent}# {remark}\n", f"{indent}{_scalar(title)}: [{day}]\n"]
    return "".join(lines)


def _root(path: Path, text: str) -> yaml.Node:
    node = yaml.compose(text, Loader=yaml.SafeLoader)
    if node is None:
        raise ContractError(f"{path}: a calendar is a mapping")
    return node


def _find(node: yaml.Node, key: str) -> yaml.Node | None:
    pairs = node.value if isinstance(node, yaml.MappingNode) else []
    return next((value for name, value in pairs if name.value == key), None)


def _value(node: yaml.Node, key: str) -> yaml.Node:
    found = _find(node, key)
    if found is None:
        raise ContractError(f"no {key} in line {node.start_mark.line + 1}")
    return found


def _indent(node: yaml.Node) -> str:
    return " " * int(node.start_mark.column)


def _last_line(node: yaml.Node) -> int:
    """Number of the line that the node ends in: a block's own end mark stands behind later comments."""
    if isinstance(node, yaml.MappingNode | yaml.SequenceNode) and not node.flow_style and node.value:
        last = node.value[-1]
        return _last_line(last[1] if isinstance(last, tuple) else last)
    mark = node.end_mark
    return int(mark.line - (mark.column == 0 and mark.line > node.start_mark.line))


def _scalar(text: object) -> str:
    """The text as YAML on one line, quoted only where it has to be."""
    return str(yaml.safe_dump(str(text), allow_unicode=True, width=10**6)).removesuffix("\n...\n").strip()


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _replace(root: Path, path: Path, text: str, added: Mapping[date, Kind], name: str) -> None:
    """Puts ``text`` in the place of the file if the folder then says what it should, else raises InputError."""
    before = load_calendars(root)
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "reference" / "calendars"
        copy.mkdir(parents=True)
        for other in path.parent.glob("*.yaml"):
            (copy / other.name).write_bytes(other.read_bytes())
        (copy / path.name).write_text(text, encoding="utf-8")
        try:
            after = load_calendars(Path(folder))
        except ContractError as error:
            raise InputError(f"{path}: {error}") from error
    wrong = [day for day, kind in added.items() if after[name].is_working_day(day) != (kind == "work")]
    wrong += _changed(before[name], after[name], added)
    if wrong:
        raise InputError(f"{path}: {', '.join(map(str, sorted(wrong)))} 写入后不符，未作更改 (would come out wrong)")
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, path.stat().st_mode & 0o777)
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def _changed(before: Calendar, after: Calendar, added: Mapping[date, Kind]) -> Iterator[date]:
    """Days of the years that were there which were not meant to change and did."""
    for day in {*before.off, *before.worked, *after.off, *after.worked}:
        if before.is_published(day) and day not in added and (before.off.get(day), before.worked.get(day)) != (
            after.off.get(day), after.worked.get(day)
        ):
            yield day
