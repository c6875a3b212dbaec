"""What happens to a file when it is finished or refused: it moves, and its report lies beside it."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Iterable
from datetime import datetime, timedelta, timezone
from itertools import chain, count
from pathlib import Path
from typing import Any

import structlog

from connectors.export_folder.file import UNREAD, ExportFile
from connectors.export_folder.moving import is_short, marked, move
from hub.intake import Counts, LoggedProblem, Refusal, mask_personal
from hub.intake.errors_file import write_errors

DONE = "done"
REFUSED = "refused"
_REPORT, _REFUSAL = ".report.json", ".refused.json"
#: Longer ones are none of ours.
_MOST_REPORT_BYTES = 1 << 20
_BEIJING = timezone(timedelta(hours=8))
_log = structlog.get_logger()


class Archive:
    """Moves files within their folder; the ``Ending`` of an ``ExportFile``. ``form`` is that of lists of
    problems. A file itself moves last: killed before that, all is done again with the same result. One that is not
    the file that was read any more stays, to be read."""

    def __init__(self, form: str) -> None:
        self._form = form

    def finished(self, file: ExportFile, kind: str, counts: Counts, problems: Iterable[LoggedProblem]) -> None:
        """To ``done/`` with its report and its list of problems."""
        target = _target(file.path, DONE, file.sha256, _REPORT)
        write_report(target, file, kind, counts, problems, self._form)
        _move(file, target)

    def refused(self, file: ExportFile, refusal: Refusal) -> None:
        """To ``refused/`` with the reason."""
        target = _target(file.path, REFUSED, file.sha256, _REFUSAL)
        write_refusal(target, file.name, file.sha256, refusal)
        _move(file, target)


def write_report(
    target: Path, file: ExportFile, kind: str, counts: Counts, problems: Iterable[LoggedProblem], form: str
) -> None:
    """Writes ``<target>.report.json``, and ``<target>.errors.xlsx`` or ``.csv`` if there are problems."""
    number = counts.rejected_total * 20 + sum(counts.warnings.values())
    errors = write_errors(target, problems, form, number)
    _write_json(
        target.with_name(target.name + _REPORT),
        {
            "file": file.name,
            "kind": kind,
            "sha256": file.sha256,
            **counts.as_dict(),
            "errors_file": errors.name if errors else None,
            "finished_at": _now(),
        },
    )


def write_refusal(target: Path, name: str, sha256: str, refusal: Refusal) -> None:
    """Writes ``<target>.refused.txt`` (for the clerk) and ``<target>.refused.json``."""
    name = mask_personal(name)
    _write(
        target.with_name(target.name + ".refused.txt"),
        f"文件：{name}\n未接收。{refusal.chinese}\n\nRefused. {refusal.english}\n",
    )
    _write_json(
        target.with_name(target.name + _REFUSAL),
        {
            "file": name,
            "sha256": sha256,
            "code": refusal.code,
            "problem": refusal.chinese,
            "problem_en": refusal.english,
            "refused_at": _now(),
        },
    )


def _move(file: ExportFile, target: Path) -> None:
    if not move(file.path, file.stamp, target):
        _log.info("another file has come under the name of one that is told; it is read next", file=file.name)


def _target(path: Path, folder: str, sha256: str, ending: str) -> Path:
    """Where the file goes; a name that is taken, or that is too long to stand before our endings, gets the digest in
    it, and a number where that is taken too."""
    place = path.parent / folder
    place.mkdir(exist_ok=True)
    own = [path.name] if is_short(path.name) else []
    digest = sha256.removeprefix(UNREAD)[:8]
    numbered = (marked(path.name, f"{digest}.{number}") for number in count(2))
    names = chain(own, [marked(path.name, digest)], numbered)
    return next(place / name for name in names if _is_free(place / name, sha256, ending))


def _is_free(target: Path, sha256: str, ending: str) -> bool:
    """Whether neither a file has the name nor a report of another content. A report of the same content was
    written just before a kill."""
    if os.path.lexists(target):
        return False
    report = target.with_name(target.name + ending)
    try:
        status = report.lstat()
    except FileNotFoundError:
        return True
    if not stat.S_ISREG(status.st_mode) or status.st_size > _MOST_REPORT_BYTES:
        return False
    try:
        said = json.loads(report.read_bytes())
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(said, dict) and said.get("sha256") == sha256


def _now() -> str:
    return datetime.now(_BEIJING).isoformat(timespec="seconds")


def _write_json(path: Path, content: dict[str, Any]) -> None:
    _write(path, json.dumps(content, ensure_ascii=False, indent=2) + "\n")


def _write(path: Path, text: str) -> None:
    temporary = path.with_name(f".{path.name}.tmp")
    temporary.write_text(text, encoding="utf-8")
    os.replace(temporary, path)
