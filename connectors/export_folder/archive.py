"""What happens to a file when it is finished or refused: it moves, and its report lies beside it."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

from hub.intake import Counts, LoggedProblem, Refusal
from hub.intake.errors_file import write_errors

DONE = "done"
REFUSED = "refused"
_BEIJING = timezone(timedelta(hours=8))


def archive_finished(
    path: Path, sha256: str, kind: str, counts: Counts, problems: Iterable[LoggedProblem], form: str
) -> Path:
    """Moves a finished file to ``done/`` with its report and its list of problems.

    The file itself moves last: killed before that, all is done again with the same result.
    """
    target = _target(path, DONE, sha256)
    number = counts.rejected_total * 20 + sum(counts.warnings.values())
    errors = write_errors(target, problems, form, number)
    _write_json(
        target.with_name(target.name + ".report.json"),
        {
            "file": path.name,
            "kind": kind,
            "sha256": sha256,
            **counts.as_dict(),
            "errors_file": errors.name if errors else None,
            "finished_at": _now(),
        },
    )
    os.replace(path, target)
    return target


def archive_refused(path: Path, sha256: str, refusal: Refusal) -> Path:
    """Moves a refused file to ``refused/`` with ``<file>.refused.txt`` (for the clerk) and ``.json``."""
    target = _target(path, REFUSED, sha256)
    _write(
        target.with_name(target.name + ".refused.txt"),
        f"文件：{path.name}\n未接收。{refusal.chinese}\n\nRefused. {refusal.english}\n",
    )
    _write_json(
        target.with_name(target.name + ".refused.json"),
        {
            "file": path.name,
            "sha256": sha256,
            "code": refusal.code,
            "problem": refusal.chinese,
            "problem_en": refusal.english,
            "refused_at": _now(),
        },
    )
    os.replace(path, target)
    return target


def _target(path: Path, folder: str, sha256: str) -> Path:
    """Where the file goes; a name that another content took before gets the digest in it."""
    place = path.parent / folder
    place.mkdir(exist_ok=True)
    target = place / path.name
    if target.exists():
        target = place / f"{path.stem}.{sha256[:8]}{path.suffix}"
    return target


def _now() -> str:
    return datetime.now(_BEIJING).isoformat(timespec="seconds")


def _write_json(path: Path, content: dict[str, Any]) -> None:
    _write(path, json.dumps(content, ensure_ascii=False, indent=2) + "\n")


def _write(path: Path, text: str) -> None:
    temporary = path.with_name(f".{path.name}.tmp")
    temporary.write_text(text, encoding="utf-8")
    os.replace(temporary, path)
