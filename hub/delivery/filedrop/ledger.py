"""What went out in which package, and what the department said of it: the hub's own memory of a folder.

One small file a package, out of the department's reach. It is what makes a restart quiet: a notice that is offered
again is found in the package that carries it instead of going out in another one, and one that was acknowledged just
before a kill is acknowledged still.

    begun ──▶ out ──▶ said (received, or refused with a reason) ──▶ ended, once everything in it was said
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal, NamedTuple

import structlog

from hub.delivery.filedrop.layout import MANIFEST, PACKAGE, Layout, is_part, package_of, remove, replace_whole
from hub.delivery.receipts import Sent
from hub.domain.plain import to_json

#: So long the hub knows what it sent, and keeps acknowledged packages.
KEEP = timedelta(days=30)
_log = structlog.get_logger()


class Verdict(NamedTuple):
    """What a department says of one notice; ``reason`` is why it refuses it."""

    is_received: bool
    reason: str | None = None


Outcome = Literal["new", "repeated", "other", "unknown"]


class Held:
    """One notice in one package. ``is_settled`` is a refusal whose parking is safe: what is offered after it is new."""

    __slots__ = ("is_settled", "sent", "verdict")

    def __init__(self, sent: Sent, verdict: Verdict | None = None, is_settled: bool = False) -> None:
        self.sent, self.verdict, self.is_settled = sent, verdict, is_settled


class _Package:
    __slots__ = ("created_at", "ended_at", "is_filed", "is_out", "name", "notices")

    def __init__(self, name: str, created_at: datetime, notices: dict[str, Held]) -> None:
        self.name, self.created_at, self.notices = name, created_at, notices
        self.is_out = self.is_filed = False
        self.ended_at: datetime | None = None


class Ledger:
    """The ledger of one subscription. Thread-safe. All methods that write raise OSError, and then nothing changed."""

    def __init__(self, layout: Layout, subscription: str) -> None:
        self._layout, self._log = layout, _log.bind(subscription=subscription)
        self._lock = threading.Lock()
        self._packages: dict[str, _Package] = {}
        self._latest: dict[str, _Package] = {}
        #: The package that is being written; the department may see it a moment before that has ended.
        self._begun: _Package | None = None

    def open(self) -> None:
        """Reads the folder back, and clears away what was being written when the last owner ended."""
        with self._lock:
            self._layout.prepare()
            found = []
            for path in self._layout.own.iterdir():
                if is_part(path.name):
                    remove(path)
                elif path.suffix == ".json" and PACKAGE.fullmatch(path.stem):
                    try:
                        found.append(_read(json.loads(path.read_bytes())))
                    except (ValueError, KeyError, TypeError) as error:
                        self._log.error("filedrop.ledger_unreadable", package=path.stem, error=type(error).__name__)
            self._packages, self._latest = {}, {}
            for package in sorted(found, key=lambda each: each.created_at):
                if package.is_out or (self._layout.outbox / (package.name + MANIFEST)).exists():
                    package.is_out = True
                    self._add(package)
                else:
                    remove(self._layout.own / f"{package.name}.json")
            for path in self._layout.outbox.iterdir():
                name = package_of(path.name)
                if is_part(path.name) or (
                    name is not None and name not in self._packages
                    and not (self._layout.outbox / (name + MANIFEST)).exists()
                ):
                    remove(path)

    def find(self, notice_id: str, digest: str) -> Held | None:
        """The notice as it went out last, if it was the same to the byte and may still be answered there."""
        with self._lock:
            package = self._latest.get(notice_id)
            held = package.notices[notice_id] if package is not None else None
            if held is None or held.sent.content_digest != digest or held.is_settled:
                return None
            return held

    def knows(self, package: str) -> bool:
        with self._lock:
            return package in self._packages

    def notices(self, package: str) -> list[str]:
        """The ids of a package's notices; none for one that is unknown."""
        with self._lock:
            found = self._packages.get(package)
            return list(found.notices) if found is not None else []

    def package_of(self, notice_id: str) -> str | None:
        """The package that carried a notice last."""
        with self._lock:
            if self._begun is not None and notice_id in self._begun.notices:
                return self._begun.name
            found = self._latest.get(notice_id)
            return found.name if found is not None else None

    def begin(self, name: str, sent: Mapping[str, Sent], at: datetime) -> None:
        """A package is about to be written. From now on the department may speak of it."""
        package = _Package(name, at, {notice_id: Held(each) for notice_id, each in sent.items()})
        with self._lock:
            self._save(package)
            self._packages[name] = self._begun = package

    def is_out(self, name: str) -> None:
        """It was written. Raises nothing: the manifest that is there says the same at the next start."""
        with self._lock:
            package = self._packages[name]
            package.is_out, self._begun = True, None
            self._add(package)
            try:
                self._save(package)
            except OSError as error:
                self._log.warning("filedrop.ledger_behind", package=name, error=error.strerror)

    def forget(self, name: str) -> None:
        """It could not be written."""
        with self._lock:
            self._packages.pop(name, None)
            self._begun = None
        remove(self._layout.own / f"{name}.json")

    def say(self, name: str, verdicts: Mapping[str, Verdict], at: datetime) -> dict[str, Outcome]:
        """Notes what the department says. The first word counts; ``other`` is one that came after a different one."""
        with self._lock:
            package = self._packages.get(name)
            if package is None:
                return dict.fromkeys(verdicts, "unknown")
            outcomes: dict[str, Outcome] = {}
            for notice_id, verdict in verdicts.items():
                held = package.notices.get(notice_id)
                if held is None:
                    outcomes[notice_id] = "unknown"
                elif held.verdict is None:
                    outcomes[notice_id] = "new"
                else:
                    same = held.verdict.is_received == verdict.is_received
                    outcomes[notice_id] = "repeated" if same else "other"
            news = [notice_id for notice_id, outcome in outcomes.items() if outcome == "new"]
            if news:
                before = package.ended_at
                for notice_id in news:
                    package.notices[notice_id].verdict = verdicts[notice_id]
                if all(held.verdict is not None for held in package.notices.values()):
                    package.ended_at = at
                try:
                    self._save(package)
                except OSError:
                    package.ended_at = before
                    for notice_id in news:
                        package.notices[notice_id].verdict = None
                    raise
            return outcomes

    def settle(self, notice_ids: Iterable[str]) -> None:
        """The refusals of these notices are safe on the log: when one is offered again, a person released it."""
        with self._lock:
            changed: dict[str, _Package] = {}
            for notice_id in notice_ids:
                package = self._latest.get(notice_id)
                held = package.notices[notice_id] if package is not None else None
                if package is not None and held is not None and held.verdict and not held.verdict.is_received:
                    held.is_settled = True
                    changed[package.name] = package
            for package in changed.values():
                self._save(package)

    def file_away(self, now: datetime) -> None:
        """Moves the packages in which everything was said to ``archive``, and ends what is older than KEEP."""
        with self._lock:
            ended = [package for package in self._packages.values() if package.ended_at is not None]
        moving = [package for package in ended if not package.is_filed]
        if moving:
            files = _by_package(self._layout.outbox)
            for package in moving:
                self._move(files.get(package.name, []))
                package.is_filed = True
        for package in ended:
            if package.ended_at is not None and package.ended_at + KEEP < now:
                self._purge(package)

    def _move(self, paths: Sequence[Path]) -> None:
        # The manifest first: what is left of a move that was cut short is no package any more.
        for path in sorted(paths, key=lambda each: not each.name.endswith(MANIFEST)):
            try:
                path.rename(self._layout.archive / path.name)
            except FileNotFoundError:
                continue  # the department took it away itself

    def _purge(self, package: _Package) -> None:
        for path in _by_package(self._layout.archive).get(package.name, []):
            remove(path)
        remove(self._layout.own / f"{package.name}.json")
        with self._lock:
            self._packages.pop(package.name, None)
            for notice_id in package.notices:
                if self._latest.get(notice_id) is package:
                    del self._latest[notice_id]

    def _add(self, package: _Package) -> None:
        self._packages[package.name] = package
        self._latest.update(dict.fromkeys(package.notices, package))

    def _save(self, package: _Package) -> None:
        replace_whole(self._layout.own / f"{package.name}.json", to_json(_written(package)))


def _by_package(folder: Path) -> dict[str, list[Path]]:
    found: dict[str, list[Path]] = {}
    for path in folder.iterdir():
        name = package_of(path.name)
        if name is not None:
            found.setdefault(name, []).append(path)
    return found


def _written(package: _Package) -> dict[str, Any]:
    return {
        "package": package.name, "is_out": package.is_out, "created_at": package.created_at.isoformat(),
        "ended_at": package.ended_at.isoformat() if package.ended_at else None,
        "notices": {
            notice_id: {
                "digest": held.sent.content_digest, "signed_at": _seconds(held.sent),
                "signature": held.sent.signature, "is_received": held.verdict.is_received if held.verdict else None,
                "reason": held.verdict.reason if held.verdict else None, "is_settled": held.is_settled,
            }
            for notice_id, held in package.notices.items()
        },
    }


def _seconds(sent: Sent) -> int:
    assert sent.signed_at is not None  # what goes into a package is signed
    return int(sent.signed_at.timestamp())


def _read(raw: dict[str, Any]) -> _Package:
    notices = {}
    for notice_id, each in raw["notices"].items():
        at = datetime.fromtimestamp(each["signed_at"], UTC)
        verdict = None if each["is_received"] is None else Verdict(each["is_received"], each["reason"])
        sent = Sent(each["digest"], at, each["signature"], raw["package"])
        notices[notice_id] = Held(sent, verdict, each["is_settled"])
    package = _Package(raw["package"], datetime.fromisoformat(raw["created_at"]), notices)
    package.is_out = raw["is_out"]
    package.ended_at = datetime.fromisoformat(raw["ended_at"]) if raw["ended_at"] else None
    return package
