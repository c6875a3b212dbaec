"""The base of small connectors: a table that is read whole, again and again."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Sequence
from datetime import date
from itertools import islice
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field

from hub.errors import HubError
from hub.intake.mapping import RowReader, layout_of, load_mapping
from hub.intake.rows import Place, Row, RowFault
from hub.intake.settings import ConnectorSettings, EncodingName, MappingName, setting
from hub.intake.sources import SourceContext
from hub.intake.spool.file import BATCH_ROWS, Spool, SpoolWriter, write_json
from hub.intake.spool.lines import dump_all
from hub.intake.spool.portion import ReadRows, Reports
from hub.intake.spool.spooled_source import SpooledSource
from hub.intake.spool.values import Values, dump

#: Rows that ``check`` tries.
_TRIED = 200


class TableSettings(ConnectorSettings):
    """Settings of a connector on ``TableSource``; add your own."""

    mapping: MappingName = setting("模板", "The mapping, a YAML file seen from the folder of this file.")
    every_seconds: Annotated[float, Field(gt=0)] = setting("读取间隔（秒）", "How often the table is read.", 300.0)
    encoding: EncodingName = setting("字节编码", "How columns that come as bytes are read.", "gb18030")
    errors: Literal["xlsx", "csv"] = setting("问题清单格式", "Form of the list of problems: `xlsx` or `csv`.", "xlsx")


class TableSource(SpooledSource):
    """Give ``columns`` and ``rows``; the rest of the contract of a ``Source`` is kept here.

    ``rows`` is called once for each reading and may raise whatever its system raises: then nothing of that
    reading counts, and the next is tried. Rows may come in any order, and be as many as they are: they are
    spooled to a file first and told from there. A table that is as it was the last time is not told again.
    """

    Settings: type[ConnectorSettings] = TableSettings

    def __init__(self, context: SourceContext) -> None:
        settings = context.config.settings
        assert isinstance(settings, TableSettings)
        self.settings: Any = settings
        reports = Reports(context.folder / "reports", settings.errors)
        super().__init__(
            context, load_mapping(settings.mapping), context.config.name, reports, settings.every_seconds,
            encoding=settings.encoding,
        )  # fmt: skip
        self._done = context.folder / "last.json"

    def columns(self) -> Sequence[str]:
        """Names of the columns, in the order in which ``rows`` gives them."""
        raise NotImplementedError

    def rows(self) -> Iterable[Sequence[Any]]:
        """All rows as they are now: texts, numbers, ``Decimal``, dates, ``bytes``, ``None``."""
        raise NotImplementedError

    def check(self) -> list[str]:
        """The columns, and the first rows; nothing is published or kept."""
        try:
            reader = self._reader(list(self.columns()))
            tried = [self.load(dump(list(row))) for row in islice(self.rows(), _TRIED)]
            read = [reader.read_values(row, Place(self.name, None, number)) for number, row in enumerate(tried, 1)]
        except HubError as error:
            return [str(error)]
        except Exception as error:  # whatever the system behind it raises is told, not thrown
            return [f"{type(error).__name__}: {error}"]
        return [
            f"第 {item.place.row} 行 / row {item.place.row}: "
            + "；".join(f"{problem.column or problem.field}: {problem.problem}" for problem in item.problems[:5])
            for item in read
            if isinstance(item, RowFault)
        ]

    def take(self, path: Path) -> bool:
        """Reads the table; false where it is as it was the last time."""
        began, columns = time.time(), list(self.columns())
        fingerprint = self.mapping.model_dump_json()
        writer = SpoolWriter(path)
        try:
            rows = iter(self.rows())
            while lines := dump_all([list(row) for row in islice(rows, BATCH_ROWS)]):
                writer.add(lines)
            if self._is_told(writer.digest, fingerprint):
                return False
            name = f"{self.name} {time.strftime('%Y-%m-%d %H:%M:%S', time.localtime(began))}"
            writer.finish(name=name, began=began, columns=columns, mapping=fingerprint)
            return True
        finally:
            writer.drop()

    def settle(self, spool: Spool) -> None:
        """What was told is not told again."""
        write_json(self._done, [spool.digest, spool.meta["mapping"]])

    def row_reader(self, spool: Spool) -> ReadRows:
        reader = self._reader(spool.meta["columns"])

        def read(rows: Sequence[Values], first: int, day: date, is_removed: bool) -> Sequence[Row | RowFault]:
            return reader.all_values(rows, [Place(self.name, None, first + at) for at in range(len(rows))])

        return read

    def _reader(self, columns: Sequence[str]) -> RowReader:
        return RowReader(layout_of(self.mapping, columns), self.context)

    def _is_told(self, digest: str, fingerprint: str) -> bool:
        try:
            return bool(json.loads(self._done.read_text(encoding="utf-8")) == [digest, fingerprint])
        except (OSError, ValueError):
            return False
