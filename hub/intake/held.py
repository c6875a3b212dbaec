"""Portions that wait for a person: what would take back or change more than is plausible, or is not what its manifest
says, is held.

Files in the source's own folder, so that the command line and the service see the same without talking:

============================  ===============================================================
``held/<id>.json``            what is held, and why
``held/<id>.decision.json``   what somebody decided; whoever comes first has decided
``held-history.jsonl``        a line for each that was held, decided and carried out
============================  ===============================================================

The connector keeps the portion itself, asks for the decision, and carries it out.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, NamedTuple

import structlog

from hub.errors import InputError, UsageError

Verdict = Literal["released", "discarded"]
_log = structlog.get_logger()


class Held(NamedTuple):
    """One portion that waits. ``reasons`` are for people, ``preview`` are rows that would be taken back,
    personal data masked; ``counts`` are of rows. ``verdict`` is what was decided and not yet done."""

    id: str
    name: str
    held_at: str
    reasons: list[str]
    counts: dict[str, int]
    preview: list[str]
    verdict: Verdict | None = None


class HeldPortions:
    """What a source holds. ``folder`` is the source's own; nothing is made before something is held."""

    def __init__(self, folder: Path, source: str) -> None:
        self._folder = folder
        self._source = source

    def hold(self, id_: str, name: str, reasons: Sequence[str], counts: dict[str, int], preview: list[str]) -> None:
        """Holds a portion; a second time it changes nothing."""
        path = self._path(id_)
        if path.exists():
            return
        now = _now()
        content = {"id": id_, "name": name, "held_at": now, "reasons": list(reasons), "counts": counts}
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._note("held", **content)
        _write(path, {**content, "preview": preview})
        _log.warning("portion held until a person decides", source=self._source, id=id_, reasons=reasons, **counts)

    def all(self) -> list[Held]:
        """Everything that is held, oldest first."""
        found = [self.find(path.stem) for path in (self._folder / "held").glob("*.json") if "." not in path.stem]
        return sorted((held for held in found if held), key=lambda held: (held.held_at, held.id))

    def find(self, id_: str) -> Held | None:
        """What is held under that id."""
        try:
            content = json.loads(self._path(id_).read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None
        try:
            verdict = json.loads(self._path(id_, ".decision").read_text(encoding="utf-8"))["verdict"]
        except FileNotFoundError:
            verdict = None
        return Held(**content, verdict=verdict)

    def decide(self, id_: str, verdict: Verdict, *, by: str, reason: str) -> None:
        """A person's decision, on record with who and why.

        :raises UsageError: when nothing is held under that id, or nobody or no reason is named.
        :raises InputError: when it was decided already.
        """
        if not by.strip() or not reason.strip():
            raise UsageError("A decision needs who decides and why.")
        held = self.find(id_) if id_.isalnum() else None
        if held is None:
            known = ", ".join(held.id for held in self.all()) or "nothing"
            raise UsageError(f"{self._source} holds no {id_!r}; it holds: {known}.")
        content = {"verdict": verdict, "by": by, "reason": reason, "decided_at": _now()}
        target = self._path(id_, ".decision")
        temporary = target.with_name(f".{target.name}.{os.getpid()}.tmp")
        _write(temporary, content)
        try:
            os.link(temporary, target)  # fails where somebody was first
        except FileExistsError:
            raise InputError(f"{id_} is decided already: {held.verdict}.") from None
        finally:
            temporary.unlink()
        self._note(verdict, id=id_, by=by, reason=reason)
        _log.warning("held portion decided", source=self._source, id=id_, verdict=verdict, by=by)

    def settle(self, id_: str, outcome: str) -> None:
        """The decision was carried out (or ``superseded`` by a later portion): it is held no more."""
        if self._path(id_).exists():
            self._note(outcome, id=id_)
        self._path(id_).unlink(missing_ok=True)
        self._path(id_, ".decision").unlink(missing_ok=True)

    def history(self) -> list[dict[str, Any]]:
        """Everything that was held and decided, oldest first."""
        try:
            lines = (self._folder / "held-history.jsonl").read_text(encoding="utf-8").splitlines()
        except FileNotFoundError:
            return []
        return [json.loads(line) for line in lines]

    def _path(self, id_: str, part: str = "") -> Path:
        return self._folder / "held" / f"{id_}{part}.json"

    def _note(self, what: str, **more: Any) -> None:
        line = json.dumps({"at": _now(), "what": what, **more}, ensure_ascii=False)
        with (self._folder / "held-history.jsonl").open("a", encoding="utf-8") as file:
            file.write(line + "\n")
            file.flush()
            os.fsync(file.fileno())


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def _write(path: Path, content: dict[str, Any]) -> None:
    temporary = path.with_name(f".{path.name}.new")
    with temporary.open("w", encoding="utf-8") as file:
        json.dump(content, file, ensure_ascii=False, indent=1)
        file.flush()
        os.fsync(file.fileno())
    os.replace(temporary, path)
