"""The frame of sources whose rows are spooled before they are told: what is read, and when it is told."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import structlog

from hub.errors import ContractError, InputError
from hub.intake.mapping import RowMapping, check_mapping
from hub.intake.sources import SourceContext
from hub.intake.spool.file import Mark, Spool
from hub.intake.spool.portion import ReadRows, Reports, SpoolPortion
from hub.intake.spool.values import loader

_log = structlog.get_logger()


class SpooledSource:
    """One mapping, one spool at a time, ``portion.spool`` in the source's folder. See ``hub.intake.Source``.

    A source gives ``take``, ``settle`` and ``row_reader``. ``has_more`` says that the last ``take`` met its limit
    and the next may come at once; ``pause`` is how many seconds it must wait all the same.
    """

    def __init__(
        self, context: SourceContext, mapping: RowMapping, label: str, reports: Reports, every_seconds: float,
        *, encoding: str = "gb18030", zone: str = "Asia/Shanghai",
    ) -> None:  # fmt: skip
        check_mapping(mapping, context)
        self.context = context
        self.mapping = mapping
        self.has_more = False
        self.pause = 0.0
        self.load = loader(encoding, zone)
        self._label = label
        self._reports = reports
        self._every = every_seconds
        self._spool = context.folder / "portion.spool"
        self._next_at = 0.0

    def take(self, path: Path) -> bool:
        """Reads from the system into a spool of that path, whole or not at all; false where there is nothing to
        tell. May raise ``InfrastructureError``."""
        raise NotImplementedError

    def settle(self, spool: Spool) -> None:
        """Everything of the spool is acknowledged; said twice after a kill."""
        raise NotImplementedError

    def row_reader(self, spool: Spool) -> ReadRows:
        """How its rows are read. Raises ``ContractError`` or ``InputError`` for one of before, which then goes."""
        raise NotImplementedError

    @property
    def name(self) -> str:
        return self.context.config.name

    @property
    def topics(self) -> Mapping[str, str]:
        return {self.mapping.topic: self.mapping.schema_name}

    def target(self, kind: str) -> tuple[str, str]:
        return self.mapping.topic, self.mapping.schema_name

    def portions(self) -> Iterator[SpoolPortion]:
        """What was left of the last time, then what the system has now."""
        yield from self._portion()
        while not self._spool.exists() and time.monotonic() >= self._next_at:
            self.has_more, self.pause = False, 0.0
            is_taken = self.take(self._spool)
            self._next_at = time.monotonic() + (self.pause or (0.0 if self.has_more else self._every))
            if not is_taken:
                return
            yield from self._portion()
            if not self.has_more:
                return  # however short the interval: whoever asked goes on first

    def reopen(self, content: tuple[Path, Mark]) -> SpoolPortion:
        """See ``hub.intake.Portion``."""
        path, mark = content
        spool = Spool(path, self.load, mark)
        return SpoolPortion(spool, self._label, self.row_reader(spool), self._reports, self.settle)

    def waits(self) -> bool:
        return self._spool.exists() or self.has_more

    def close(self) -> None:
        """Nothing is held open."""

    def _portion(self) -> Iterator[SpoolPortion]:
        if not self._spool.exists():
            return
        try:
            spool = Spool(self._spool, self.load)
            read = self.row_reader(spool)
        except (InputError, ContractError) as error:
            # Nothing is lost: where the reading stands is moved at the end alone.
            _log.warning("spool dropped; the system is read anew", source=self.name, reason=str(error))
            self._spool.unlink(missing_ok=True)
            return
        yield SpoolPortion(spool, self._label, read, self._reports, self.settle)
