"""Rows of tables: types that nobody expects, and texts that no text should be. SQLite puts anything anywhere."""

from __future__ import annotations

from collections.abc import Callable

from tests.hostile.registry import case
from tests.hostile.rows import PERSONAL
from tests.hostile.ways import AFTER, BEFORE, Expected
from tests.support_contracts import IDENTITY_NUMBER
from tests.support_sql import INSPECTION_COLUMNS, inspection_row

Execute = Callable[..., None]


def _literal(value: object) -> str:
    if value is None:
        return "NULL"
    return str(value) if isinstance(value, int) else "'" + str(value).replace("'", "''") + "'"


def fill(execute: Execute, **bad: str) -> None:
    """A good row, one whose columns are the SQL expressions of ``bad``, a good one: rows 1 to 3."""
    statements = []
    for number, change in ((1, {}), (5, bad), (9, {})):
        row = inspection_row(number, remark=PERSONAL)
        values = [change.get(name) or _literal(value) for name, value in row.items()]
        statements.append(f"INSERT INTO inspection ({', '.join(row)}) VALUES ({', '.join(values)})")
    execute(f"CREATE TABLE inspection ({INSPECTION_COLUMNS})", *statements)


def _row(name: str, column: str, sql: str, **values: str) -> None:
    @case(name)
    def generate(execute: Execute) -> Expected:
        fill(execute, **{column: sql})
        if values:
            return Expected(taken=(BEFORE, "JC000005", AFTER), values=tuple(values.items()))
        return Expected((2,), column)


_row("sql-nul", "party_name", "'合作市' || char(0) || '乳业'")
_row("sql-control-character", "party_name", "'合作市' || char(27) || '[2J'")
_row("sql-bidi", "party_name", "'合作市' || char(8238) || '业乳'")
_row("sql-text-that-is-none", "party_name", "CAST(x'e59088e4ff' AS TEXT)")
_row("sql-text-of-half-a-pair", "party_name", "CAST(x'eda080' AS TEXT)")
_row("sql-bytes-that-are-no-text", "party_name", "x'ffff'")
_row("sql-bytes-gb18030", "party_name", f"x'{'合作市乳业'.encode('gb18030').hex()}'", party_name="合作市乳业")
_row("sql-infinite", "checked_on", "9e999")
_row("sql-fraction-as-date", "checked_on", "1.5e300")
_row("sql-enormous-integer", "checked_on", "9223372036854775807")
_row("sql-date-beyond", "checked_on", "'2026-02-30'")
_row("sql-date-zero", "checked_on", "'0000-00-00'")
_row("sql-date-bytes", "checked_on", "x'00ff'")
_row("sql-enormous-text", "remark", "printf('%.*c', 10000000, 'x')")
_row("sql-enormous-bytes", "remark", "zeroblob(10000000)")
_row("sql-number-as-name", "party_name", "12.50", party_name="12.5")
_row("sql-boolean-strange", "is_public", "7")
_row("sql-injection", "party_name", "'甲''); DROP TABLE inspection; --'", party_name="甲'); DROP TABLE inspection; --")
_row("sql-formula", "remark", "'=1+1'", remark="=1+1")
_row("sql-identity-number", "checked_on", f"'x{IDENTITY_NUMBER[:6]} {IDENTITY_NUMBER[6:]}'")
_row("sql-looks-like-ours", "remark", """'{"$d": "2026-99-99"}'""", remark='{"$d": "2026-99-99"}')
