"""A demo season: three departments' files of May to July, and the truth about them."""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from random import Random
from typing import NamedTuple

from hub.errors import UsageError
from hub.sandbox.generate import cases, changes
from hub.sandbox.generate.cases import Case
from hub.sandbox.generate.codes import is_uscc, make_wrong_check
from hub.sandbox.generate.columns import KINDS, Kind
from hub.sandbox.generate.departments import DEPARTMENTS, GANNAN_TOURISM, HEZUO_MARKET
from hub.sandbox.generate.enterprise import Enterprise, make_register, traced_enterprise
from hub.sandbox.generate.manifest import FILE_NAME, Entity, FileTruth, Manifest, RejectedRow, Step, Traced
from hub.sandbox.generate.noise import Fault, Written, mistype_code, spoil, write_cell
from hub.sandbox.generate.waves import SEASON_END, WAVES, Wave, row_counts, shifted
from hub.sandbox.generate.writing import write_export

MIN_SIZE = 500
_MAX_REGISTER = 20_000
#: Shares of all rows. Repeats and amendments only stand in files that follow another of their kind.
_REJECTED, _REPEATED, _AMENDED = 0.03, 0.06, 0.02
#: Shares of their own files.
_REMOVED, _ADVANCED, _CORRECTED, _WARNED = 0.6, 0.35, 0.02, 0.01
#: Share of cells typed in another way.
_DIRT = 0.08
_LOOK_ALIKE = "look-alike-code"
_HEADING_ROWS = 3
#: Trades that the tourism department looks after.
_TOURISM = ("tourism", "hotel", "culture")


@dataclass(slots=True)
class _Known:
    """One natural key while the season is made."""

    case: Case
    entity: Entity
    is_traced: bool = False


class _Line(NamedTuple):
    """One row of a file: its cells, what it is, and what it makes known."""

    case: Case
    what: str  # new, amended, repeated, or rejected
    detail: str = ""  # event type, or fault
    column: str = ""


@dataclass(slots=True)
class _Store:
    """What a department has handed in of one kind so far."""

    known: list[_Known] = field(default_factory=list)
    spoiled: list[Case] = field(default_factory=list)
    numbers: int = 0
    removals: int = 0


def generate_season(
    folder: Path, seed: int = 20260701, size: int = 5000, *, ends_on: date = SEASON_END
) -> Manifest:
    """Writes ``size`` rows into ``folder``/<source>/ and the manifest beside them; returns the manifest.

    The files' times are those of their names, so that either order is the order of arrival. The
    same seed, size and end give the same bytes. The season is May to July 2026, the mass listing after
    the annual reports of 30 June in it; with another ``ends_on``, the day of its last file, all its days
    move along, so that its deadlines stand to today as they would in season. Raises UsageError for
    fewer than ``MIN_SIZE`` rows.
    """
    if size < MIN_SIZE:
        raise UsageError(f"行数至少为{MIN_SIZE} (a season has {MIN_SIZE} rows at least)")
    later = ends_on - SEASON_END
    season = _Season(seed, size, later)
    files = tuple(
        season.write(folder, shifted(wave, later), rows)
        for wave, rows in zip(WAVES, row_counts(size), strict=True)
    )
    manifest = Manifest(seed, size, files, season.traced(), season.entities())
    (folder / FILE_NAME).write_text(manifest.to_json(), encoding="utf-8")
    return manifest


class _Season:
    def __init__(self, seed: int, size: int, later: timedelta) -> None:
        self._later = later
        self._rng = rng = Random(f"{seed}/season")
        register = make_register(rng, min(size, _MAX_REGISTER))
        # Another one of the traced name would blur what happened to it.
        register = [e for e in register if e.name != traced_enterprise().name]
        self._pools = {by.source: register for by in DEPARTMENTS}
        self._pools[HEZUO_MARKET.source] = [e for e in register if e.region == HEZUO_MARKET.region]
        self._pools[GANNAN_TOURISM.source] = [e for e in register if e.trade in _TOURISM]
        self._stores: dict[tuple[str, str], _Store] = {}
        self._steps: list[Step] = []
        firsts = {(wave.by.source, wave.kind): wave for wave in reversed(WAVES)}.values()
        self._later_share = 1 - sum(wave.share for wave in firsts) / sum(wave.share for wave in WAVES)

    def write(self, folder: Path, wave: Wave, rows: int) -> FileTruth:
        """One file, and the truth about it."""
        lines = self._lines(wave, rows)
        self._rng.shuffle(lines)
        kind, path = KINDS[wave.kind], folder / wave.by.source / wave.file_name
        note = f"填报单位：{wave.by.name}　填报日期：{wave.day}"
        headings = (*kind.headings, *kind.reported)
        write_export(path, wave.form, kind.title, note, headings, self._typed(kind, lines, wave.form))
        # Midnight UTC and one hour: nine in the morning in Gannan.
        arrived = datetime(wave.day.year, wave.day.month, wave.day.day, 1, tzinfo=UTC).timestamp()
        os.utime(path, (arrived, arrived))
        return _truth(wave, lines)

    def _typed(self, kind: Kind, lines: list[_Line], form: str) -> list[list[Written]]:
        is_sheet = form == "xlsx"
        typed: list[list[Written]] = []
        for number, line in enumerate(lines, 1):
            cells = {"序号": str(number), **line.case}
            dirt = 0.0 if line.what == "rejected" else _DIRT  # a fault stands alone in its row
            row = [write_cell(self._rng, h, cells[h], dirt, is_sheet=is_sheet) for h in kind.headings]
            typed.append([*row, *(write_cell(self._rng, h, cells[h], 0.0, is_sheet=is_sheet) for h in kind.reported)])
        return typed

    def _lines(self, wave: Wave, rows: int) -> list[_Line]:
        rng, store = self._rng, self._stores.setdefault((wave.by.source, wave.kind), _Store())
        earlier = [known for known in store.known if not known.is_traced]
        rng.shuffle(earlier)
        lines = [self._trace(wave, store)] if wave.is_traced else []
        if earlier:
            lines += self._later_versions(wave, rows, earlier, store)
            again = store.spoiled[: round(rows * _CORRECTED)]
            del store.spoiled[: len(again)]
            lines += [self._add(wave, store, case) for case in again]
        pool = rng.sample(self._pools[wave.by.source], len(self._pools[wave.by.source]))
        column = KINDS[wave.kind].code
        rejected = round(rows * _REJECTED)
        warned = 0 if wave.kind == "blacklist-notices" else round(rows * _WARNED)
        for number in range(rows - len(lines)):
            case = self._case(wave, store, pool[number % len(pool)])
            if number < rejected:
                store.spoiled.append(case)
                lines.append(_spoiled(rng, KINDS[wave.kind], case))
                continue
            code = str(case[column] or "")
            if number < rejected + warned and is_uscc(code):
                case = {**case, column: make_wrong_check(code)}
            lines.append(self._add(wave, store, case))
        return lines

    def _later_versions(
        self, wave: Wave, rows: int, earlier: list[_Known], store: _Store
    ) -> list[_Line]:
        """Repeats, amendments and next states of what earlier files said; each key once in a file."""
        rng, lines = self._rng, []

        def take(share: float) -> list[_Known]:
            taken, earlier[:] = earlier[: round(rows * share)], earlier[round(rows * share) :]
            return taken

        for known in take(_REPEATED / self._later_share):
            lines.append(_Line(known.case, "repeated"))
        for known in take(_AMENDED / self._later_share):
            lines.append(self._change(wave, known, changes.amend(wave.kind, known.case, wave.day)))
        if wave.kind == "complaint-leads":
            earlier[:] = [known for known in earlier if known.case["处理状态"] != "已办结"]
            for known in take(_ADVANCED):
                lines.append(self._change(wave, known, changes.advance(rng, known.case, wave.until)))
        if wave.flavour == "removals":
            earlier[:] = [k for k in earlier if k.entity.traits == ("abnormal",) and not k.case["移出日期"]]
            for known in take(_REMOVED):
                store.removals += 1
                gone = changes.remove(known.case, wave.by, store.removals, self._day(wave))
                lines.append(self._change(wave, known, gone))
        return lines

    def _case(self, wave: Wave, store: _Store, who: Enterprise) -> Case:
        """A new fact about ``who``."""
        rng, day = self._rng, self._day(wave)
        store.numbers += 1
        if wave.kind == "blacklist-notices":
            reason = rng.choices(tuple(cases.ABNORMAL_REASONS), tuple(cases.ABNORMAL_REASONS.values()))[0]
            is_serious = wave.flavour == "serious"
            return cases.make_notice(
                rng, who, wave.by, store.numbers, day, None if is_serious else reason, is_serious=is_serious
            )
        case = cases.MAKERS[wave.kind](rng, who, wave.by, store.numbers, day)
        return changes.vary_penalty(rng, case) if wave.kind == "penalties" else case

    def _day(self, wave: Wave) -> date:
        return wave.since + timedelta(days=self._rng.randint(0, (wave.until - wave.since).days))

    def _add(self, wave: Wave, store: _Store, case: Case, *, is_traced: bool = False) -> _Line:
        kind, state = wave.kind, changes.state_type(wave.kind, case)
        entity = Entity(
            wave.by.source, kind, changes.natural_key(kind, case), state, state, 1, changes.traits(kind, case)
        )
        store.known.append(_Known(case, entity, is_traced))
        return _Line(case, "new", state)

    def _change(self, wave: Wave, known: _Known, case: Case) -> _Line:
        state, before = changes.state_type(wave.kind, case), known.entity
        event = changes.amended_type(wave.kind) if state == before.state else state
        known.case = case
        known.entity = replace(
            before,
            state=state,
            last_event=event,
            version=before.version + 1,
            traits=changes.traits(wave.kind, case),
        )
        return _Line(case, "amended", event)

    def _trace(self, wave: Wave, store: _Store) -> _Line:
        """The event of the traced enterprise that falls into ``wave``."""
        rng, who, store.numbers = self._rng, traced_enterprise(), store.numbers + 1
        if wave.kind == "inspection-results":
            day = date(2026, 5, 20) + self._later
            case = cases.make_inspection(rng, who, wave.by, store.numbers, day) | {
                "检查日期": day,
                "检查结果": ("违反食药规定", "发现问题待后续处理"),
                "是否公示": "是",
                "不公示理由": None,
            }
        elif wave.kind == "penalties":
            day = date(2026, 6, 15) + self._later
            case = cases.make_penalty(rng, who, wave.by, store.numbers, day, is_person=False) | {
                "处罚程序": "普通程序",
                "处罚类别": ("罚款", "没收违法所得"),
                "罚款金额（万元）": Decimal("2.5"),
                "没收违法所得、没收非法财物的金额（万元）": Decimal("0.318"),
                "处罚内容": "罚款2.5万元；没收违法所得0.318万元",
            }
        elif wave.flavour == "burst":
            day = date(2026, 7, 1) + self._later
            case = cases.make_notice(rng, who, wave.by, store.numbers, day, "未按期年报")
        else:
            day = date(2026, 7, 20) + self._later
            known = next(known for known in store.known if known.is_traced)
            store.removals += 1
            line = self._change(wave, known, changes.remove(known.case, wave.by, store.removals, day))
            return self._step(wave, known, line, day)
        line = self._add(wave, store, case, is_traced=True)
        return self._step(wave, store.known[-1], line, day)

    def _step(self, wave: Wave, known: _Known, line: _Line, day: date) -> _Line:
        key = known.entity.natural_key
        self._steps.append(Step(wave.file_name, wave.kind, key, line.detail, day.isoformat()))
        return line

    def traced(self) -> Traced:
        """The traced enterprise, once all files are written."""
        who = traced_enterprise()
        return Traced(HEZUO_MARKET.source, who.name, who.uscc, tuple(self._steps))

    def entities(self) -> tuple[Entity, ...]:
        """Every natural key as the last file left it."""
        return tuple(known.entity for store in self._stores.values() for known in store.known)


def _spoiled(rng: Random, kind: Kind, case: Case) -> _Line:
    """The case with a fault that has to be refused whatever the reader's settings."""
    mistyped = mistype_code(kind, case) if rng.random() < 0.15 else None
    if mistyped is not None:
        return _Line(mistyped, "rejected", _LOOK_ALIKE, kind.code)
    while True:
        wrong, fault, column = spoil(rng, kind, case)
        # A wrong check character is only warned of; the day of a result may be that of the inspection.
        if fault is not Fault.WRONG_CHECK and (fault, column) != (Fault.MISSING_DATE, "结果形成日期"):
            return _Line(wrong, "rejected", fault.value, column)


def _truth(wave: Wave, lines: list[_Line]) -> FileTruth:
    def count(*whats: str) -> dict[str, int]:
        return dict(sorted(Counter(line.detail for line in lines if line.what in whats).items()))

    def is_warned(line: _Line) -> bool:
        code = str(line.case[KINDS[wave.kind].code] or "")
        return line.what != "rejected" and len(code) == 18 and not is_uscc(code)

    return FileTruth(
        source=wave.by.source,
        kind=wave.kind,
        name=wave.file_name,
        form=wave.form,
        rows=len(lines),
        new=sum(line.what == "new" for line in lines),
        amended=count("amended"),
        repeated=sum(line.what == "repeated" for line in lines),
        rejected=count("rejected"),
        events=count("new", "amended"),
        warned=sum(map(is_warned, lines)),
        rejected_rows=tuple(
            RejectedRow(_HEADING_ROWS + number, line.detail, line.column)
            for number, line in enumerate(lines, 1)
            if line.what == "rejected"
        ),
    )
