"""The source: portions of a table, each spooled first, guarded where it could take back too much."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Protocol

import structlog

from connectors.sql.claims import Claims
from connectors.sql.increasing import Increasing
from connectors.sql.outbox import Outbox
from connectors.sql.rows import TableRows
from connectors.sql.settings import SqlSettings
from connectors.sql.snapshot import Snapshot
from connectors.sql.table import Table, stream
from hub.intake import (
    ContractError,
    HeldPortions,
    InputError,
    Place,
    RowFault,
    SourceConfig,
    SourceContext,
    SourceManifest,
    TableReading,
    mask,
    mask_personal,
)
from hub.intake.mapping import RowReader, check_mapping, load_mapping
from hub.intake.spool import Mark, Reports, Spool, SpoolPortion, dump, loader, portion_id, replace, write_json

#: Mappings that the connector brings along.
MAPPINGS = Path(__file__).parent / "mappings"
#: Rows that ``check`` tries, and removed rows that are shown of what is held.
_TRIED, _SHOWN = 200, 10
_HEARTBEAT_SECONDS = 5.0
_log = structlog.get_logger()


class Mode(Protocol):
    """One of the three ways to read. ``take`` reads from the database into a spool of that path, whole or
    not at all, and is false where there is nothing to tell; ``telling`` is called when a spool begins to be told, and
    ``finish`` when everything of a spool is acknowledged, each perhaps twice. ``has_more`` says that the last read
    met its limit. ``check`` names what cannot work. All may raise ``DatabaseError``."""

    is_guarded: bool
    has_more: bool

    def take(self, path: Path) -> bool: ...

    def telling(self, spool: Spool) -> None: ...

    def finish(self, spool: Spool) -> None: ...

    def check(self) -> list[str]: ...

    def close(self) -> None: ...


class SqlSource:
    """Reads a table of a database. See ``hub.intake.Source`` for the contract.

    In its folder: ``portion.spool`` is read and not finished yet, ``released.spool`` was held and may
    pass, ``held/<id>.spool`` waits for a person, ``claim.json`` is what a manifest said that the last snapshot did not
    meet, ``status.json`` says that the source is alive.
    """

    Settings = SqlSettings

    def __init__(self, context: SourceContext) -> None:
        settings = context.config.settings
        assert isinstance(settings, SqlSettings)
        self._context = context
        self._settings = settings
        self._folder = context.folder
        self._mapping = load_mapping(settings.mapping, MAPPINGS)
        check_mapping(self._mapping, context)
        tells_removals = {
            "snapshot": settings.removed == "tell", "outbox": bool(settings.deletes), "increasing": False,
        }  # fmt: skip
        if self._mapping.events.removed is None and tells_removals[settings.mode]:
            raise ContractError(
                f"mapping {self._mapping.kind}: events.removed is missing: it says what a row becomes that is gone "
                "(or set removed: ignore for a snapshot, deletes: [] for an outbox)"
            )
        self._table = Table(settings, self._mapping, context)
        self._claims = Claims(self._folder / "claim.json")
        self._mode = self._make_mode()
        self._held = HeldPortions(self._folder, self.name)
        self._load = loader(settings.encoding, settings.time_zone)
        self._reports = Reports(settings.reports or self._folder / "reports", settings.errors, settings.reports is None)
        self._next_at = 0.0
        self._beat_at = 0.0

    def _make_mode(self) -> Mode:
        if self._settings.mode == "snapshot":
            return Snapshot(self._table, self._folder, self._claims)
        if self._settings.mode == "outbox" and self._settings.after != "keep":
            return Outbox(self._table)
        return Increasing(self._table, self._folder)

    @staticmethod
    def config_faults(config: SourceConfig) -> list[str]:
        """See ``hub.intake.Source``."""
        settings = config.settings
        assert isinstance(settings, SqlSettings)
        if config.manifest_key is None:
            faults = [] if settings.manifests is None else ["manifests: needs manifest_key, by which they are verified"]
            if settings.without_manifest == "wait":
                faults.append("without_manifest: wait needs manifest_key and manifests")
            return faults
        if settings.mode != "snapshot":
            return [f"manifest_key: a manifest counts the rows of a snapshot, and mode {settings.mode} takes none"]
        if settings.manifests is None:
            return ["manifest_key: needs manifests, the folder into which the signed manifests are put"]
        return []

    @property
    def manifest_folder(self) -> Path | None:
        """Where manifests of the day lie."""
        return self._settings.manifests

    def expect(self, manifest: SourceManifest) -> None:
        """A manifest is in force; where it says something new of today the table is read at once."""
        if self._claims.take(manifest, time.time()):
            self._next_at = 0.0

    def readings(self) -> list[TableReading]:
        """What was counted since it was last asked."""
        if not isinstance(self._mode, Snapshot):
            return []
        found = list(self._mode.readings)
        self._mode.readings.clear()
        return found

    @property
    def name(self) -> str:
        return self._context.config.name

    @property
    def topics(self) -> Mapping[str, str]:
        return {self._mapping.topic: self._mapping.schema_name}

    def target(self, kind: str) -> tuple[str, str]:
        return self._mapping.topic, self._mapping.schema_name

    def portions(self) -> Iterator[SpoolPortion]:
        """What was left of the last time, then what the database has now."""
        self._beat()
        self._carry_out_decisions()
        yield from self._spooled()
        while not self._is_waiting() and time.monotonic() >= self._next_at and not self._lacks_manifest():
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            is_taken = self._mode.take(self._path("portion"))
            self._next_at = 0.0 if self._mode.has_more else time.monotonic() + self._settings.interval
            if not is_taken:
                if isinstance(self._mode, Snapshot):
                    self._supersede()  # the table is again what was told of it
                return
            yield from self._spooled()
            if not self._mode.has_more:
                return  # however short the interval: whoever asked goes on first

    def reopen(self, content: tuple[Path, Mark]) -> SpoolPortion:
        """See ``hub.intake.Portion``."""
        path, mark = content
        spool = Spool(path, self._load, mark)
        return self._portion(spool, self._table.reader(spool.meta["columns"]))

    def waits(self) -> bool:
        return self._is_waiting() or self._mode.has_more

    def check(self) -> list[str]:
        """Address, columns, and the first rows; nothing is published or kept."""
        folder = self._settings.manifests
        lacking = [f"manifests: folder {folder} is missing"] if folder is not None and not folder.is_dir() else []
        try:
            found = lacking + self._mode.check()
            reader = self._table.reader(self._table.names)
            statement, _ = self._table.select()
            with self._table.database.reading() as connection:
                chunks = list(stream(connection, statement.limit(_TRIED)))
            rows = [self._load(dump(row)) for rows in chunks for row in rows]
            read = [reader.read_values(row, Place(self._settings.label, None, n)) for n, row in enumerate(rows, 1)]
        except (ContractError, InputError) as error:
            return [*lacking, str(error)]
        finally:
            self.close()
        faults = [item for item in read if isinstance(item, RowFault)]
        for fault in faults[:5]:
            told = "；".join(f"{problem.column or problem.field}: {problem.problem}" for problem in fault.problems[:5])
            found.append(f"第 {fault.place.row} 行 / row {fault.place.row}: {told}")
        if faults:
            summary = f"前 {len(rows)} 行中 {len(faults)} 行不能接收 / of the first {len(rows)} rows {len(faults)} fail"
            found.append(summary)
        return found

    def close(self) -> None:
        self._mode.close()
        self._table.close()

    def _path(self, name: str) -> Path:
        return self._folder / f"{name}.spool"

    def _is_waiting(self) -> bool:
        return self._path("released").exists() or self._path("portion").exists()

    def _lacks_manifest(self) -> bool:
        """Whether the table is left alone until the manifest of today comes."""
        return self._settings.without_manifest == "wait" and not self._claims.has_today(time.time())

    def _spooled(self) -> Iterator[SpoolPortion]:
        """The portions that lie here; a held one is put aside."""
        for name in ("released", "portion"):
            path = self._path(name)
            if not path.exists():
                continue
            try:
                spool = Spool(path, self._load)
                reader = self._table.reader(spool.meta["columns"])
            except (InputError, ContractError) as error:
                # Nothing is lost: where the reading stands is moved at the end alone.
                _log.warning("spool dropped; the database is read anew", source=self.name, reason=str(error))
                path.unlink(missing_ok=True)
                continue
            if name == "portion" and isinstance(self._mode, Snapshot):
                if reasons := self._mode.reasons_to_hold(spool):
                    self._hold(spool, reader, reasons)
                    continue
                self._supersede()
            self._mode.telling(spool)
            yield self._portion(spool, reader)
            if path.exists():
                return

    def _portion(self, spool: Spool, reader: RowReader) -> SpoolPortion:
        rows = TableRows(reader, self._settings, spool.meta["columns"])
        return SpoolPortion(spool, self._settings.label, rows.read, self._reports, self._mode.finish)

    def _hold(self, spool: Spool, reader: RowReader, reasons: list[str]) -> None:
        """Puts a portion aside. One at a time: whoever decides must not find another than they looked at."""
        assert isinstance(self._mode, Snapshot)
        id_, claim = portion_id(spool), self._mode.odd_claim(spool)
        if claim is not None:
            self._claims.not_met(claim)
        if any(held.id != id_ for held in self._held.all()):
            spool.close()
            spool.path.unlink()
            return
        counts = {name: int(count) for name, count in spool.meta["difference"].items()}
        preview = self._preview(spool, reader, counts["rows"])
        if claim is not None:
            counts["announced"] = claim.rows
        self._held.hold(id_, str(spool.meta["name"]), reasons, counts, preview)
        spool.close()
        replace(spool.path, self._folder / "held" / f"{id_}.spool")
        self._beat(is_news=True)

    def _preview(self, spool: Spool, reader: RowReader, behind: int) -> list[str]:
        """The first removed rows: by what they are known, and whom they concern, masked."""
        shown = []
        rows = (row for batch in spool.batches(behind) if batch.is_removed for row in batch.rows)
        for number, row in enumerate(islice(rows, _SHOWN), 1):
            read = reader.read_values(row, Place(self._settings.label, None, number))
            if isinstance(read, RowFault):
                shown.append("?")
                continue
            party = str(read.value.get("party_name") or "")
            # Names of persons are short; enterprises are public.
            is_person = read.value.get("party_kind") == "01" or len(party) <= 5
            name = mask(party) if is_person else party
            key = read.natural_key.replace(party, name) if party else read.natural_key
            shown.append(mask_personal(f"{key}  {name}".strip()))
        return shown

    def _supersede(self) -> None:
        for held in self._held.all():
            self._held_path(held.id).unlink(missing_ok=True)
            self._held.settle(held.id, "superseded")

    def _carry_out_decisions(self) -> None:
        for held in self._held.all():
            path = self._held_path(held.id)
            if held.verdict == "released":
                if path.exists():
                    replace(path, self._path("released"))
                self._held.settle(held.id, "let-through")
            elif held.verdict == "discarded":
                path.unlink(missing_ok=True)
                self._held.settle(held.id, "dropped")
                self._next_at = 0.0

    def _held_path(self, id_: str) -> Path:
        return self._folder / "held" / f"{id_}.spool"

    def _beat(self, *, is_news: bool = False) -> None:
        """Says that the source is alive, now and then; what is held from now on is said at once."""
        now = time.monotonic()
        if now - self._beat_at < _HEARTBEAT_SECONDS and self._beat_at and not is_news:
            return
        self._beat_at = now
        content = {"looked_at": time.time(), "held": [held.id for held in self._held.all()]}
        write_json(self._folder / "status.json", content)
