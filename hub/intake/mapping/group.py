"""Columns that hold several things each, pair by pair, made into an array of records."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from hub.intake.mapping.codes import CheckDigit, is_nothing, read_certificate
from hub.intake.mapping.model import Group
from hub.intake.mapping.parsers import ValueFault, expect_fit, splitter

#: More names in one cell are no list of persons.
_MAX_PARTS = 100
_MAX_LENGTH = 50
#: The same inspectors come again and again.
_CACHE = 4096

GroupWarning = tuple[str, str, str]
Records = list[dict[str, Any]]
#: Shared, as all arrays are: nobody changes it.
_NOTHING: tuple[Records, GroupWarning | None] = ([], None)


class CompiledGroup:
    """A group, seen in one table's columns (canonical heading -> index; index -> heading as written).

    ``index`` and ``column`` are those of the leading member; ``members_at`` are the indexes of all, -1 where the
    file lacks the column. ``is_alone`` says that there is one column, and it is there.
    """

    def __init__(
        self, group: Group, found: Mapping[str, int], written: Mapping[int, str], check_digit: CheckDigit
    ) -> None:
        self.field = group.field
        self._group = group
        self._check_digit = check_digit
        self._split = splitter(group.separators)
        self._members = [
            (name, found.get(member.heading, -1), member.parser == "certificate")
            for name, member in group.members.items()
        ]
        leader = next(iter(group.members.values()))
        self.index = found.get(leader.heading, -1)
        self.column = written.get(self.index, leader.heading)
        self.members_at = [index for _, index, _ in self._members]
        self.is_alone = len(self._members) == 1 and self.index >= 0
        self._parse = lru_cache(maxsize=_CACHE)(self._records)

    @property
    def places(self) -> list[int]:
        """Indexes of the columns that the file has."""
        return [index for _, index, _ in self._members if index >= 0]

    def read(self, cells: list[str], value: dict[str, Any]) -> GroupWarning | None:
        """Puts the array into ``value``; returns the first warning about a number, if any. Rows of the
        same text share the array: nobody changes it.

        :raises ValueFault: when the columns do not have the same number of parts.
        """
        texts = tuple([cells[index] if index >= 0 else "" for index in self.members_at])
        if not texts[0]:
            value[self.field] = []
        value[self.field], warning = self.records(texts)
        return warning

    def records(self, texts: tuple[str, ...]) -> tuple[Records, GroupWarning | None]:
        """What ``read`` makes of these texts, one for each of ``members_at``. Raises as it does."""
        if not texts[0]:
            if self._group.required:
                raise ValueFault("required", f"“{self.column}”为空", "此列必须填写")
            return _NOTHING
        return self._parse(texts)

    def _records(self, texts: tuple[str, ...]) -> tuple[Records, GroupWarning | None]:
        if is_nothing(texts[0]):
            return [], None
        split = self._split
        names = split(texts[0])
        if len(names) > _MAX_PARTS:
            raise ValueFault("list", f"列出了 {len(names)} 项，过多", f"最多 {_MAX_PARTS} 项，用顿号分隔")
        records: Records = [{} for _ in names]
        warning: GroupWarning | None = None
        for (name, _, is_certificate), text in zip(self._members, texts, strict=True):
            parts: list[str | None] = [None] * len(names)
            if text and not is_nothing(text):
                parts = list(split(text))
            if len(parts) != len(names):
                raise ValueFault(
                    "list",
                    f"“{self.column}”有 {len(names)} 项，对应的另一列有 {len(parts)} 项",
                    "两列的项数应一致，顺序一一对应，用顿号分隔",
                )
            for record, part in zip(records, parts, strict=True):
                record[name] = None
                if part is None or is_nothing(part):
                    continue
                if is_certificate:
                    reading = read_certificate(part, None, self._check_digit)
                    record[name] = reading.code
                    warning = warning or reading.warning
                elif len(part) > _MAX_LENGTH:
                    raise ValueFault(
                        "too-long",
                        f"其中一项过长：{len(part)} 个字符",
                        f"每项最多 {_MAX_LENGTH} 个字符，用顿号分隔",
                    )
                else:
                    expect_fit(part)
                    record[name] = part
        leader = self._members[0][0]
        if any(record[leader] is None for record in records):
            raise ValueFault("list", f"“{self.column}”中有空项", "请填写完整，用顿号分隔")
        needed = self._group.constants_with
        for record in records:
            if needed is None or record.get(needed) is not None:
                record.update(self._group.constants)
        return records, warning
