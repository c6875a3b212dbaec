"""What happens to a file when it is finished or refused: it moves, and its report lies beside it."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

from connectors.export_folder.file import ExportFile
from hub.intake import Counts, LoggedProblem, Refusal, mask_personal
from hub.intake.errors_file import write_errors

DONE = "done"
REFUSED = "refused"
#: Our endings stand behind a name, and file systems take 255 bytes.
_MOST_NAME_BYTES, _MOST_STEM_BYTES = 200, 150
_BEIJING = timezone(timedelta(hours=8))


class Archive:
    """Moves files within their folder; the ``Ending`` of an ``ExportFile``. ``form`` is that of lists of
    problems. A file itself moves last: killed before that, all is done again with the same result."""

    def __init__(self, form: str) -> None:
        self._form = form

    def finished(self, file: ExportFile, kind: str, counts: Counts, problems: Iterable[LoggedProblem]) -> None:
        """To ``done/`` with its report and its list of problems."""
        target = _target(file.path, DONE, file.sha256)
        write_report(target, file, kind, counts, problems, self._form)
        os.replace(file.path, target)

    def refused(self, file: ExportFile, refusal: Refusal) -> None:
        """To ``refused/`` with the reason."""
        target = _target(file.path, REFUSED, file.sha256)
        write_refusal(target, file.name, file.sha256, refusal)
        os.replace(file.path, target)


def write_report(
    target: Path, file: ExportFile, kind: str, counts: Counts, problems: Iterable[LoggedProblem], form: str
) -> None:
    """Writes ``<target>.report.json``, and ``<target>.errors.xlsx`` or ``.csv`` if there are problems."""
    number = counts.rejected_total * 20 + sum(counts.warnings.values())
    errors = write_errors(target, problems, form, number)
    _write_json(
        target.with_name(target.name + ".report.json"),
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
        target.with_name(target.name + ".refused.json"),
        {
            "file": name,
            "sha256": sha256,
            "code": refusal.code,
            "problem": refusal.chinese,
            "problem_en": refusal.english,
            "refused_at": _now(),
        },
    )


def _target(path: Path, folder: str, sha256: str) -> Path:
    """Where the file goes; a name that another content took before, or that is too long to stand before our endings,
    gets the digest in it."""
    place = path.parent / folder
    place.mkdir(exist_ok=True)
    target = place / path.name
    if target.exists() or len(os.fsencode(path.name)) > _MOST_NAME_BYTES:
        stem = os.fsencode(path.stem)[:_MOST_STEM_BYTES].decode("utf-8", "ignore")
        target = place / f"{stem or 'file'}.{sha256[:8]}{path.suffix[:20]}"
    return target


def _now() -> str:
    return datetime.now(_BEIJING).isoformat(timespec="seconds")


def _write_json(path: Path, content: dict[str, Any]) -> None:
    _write(path, json.dumps(content, ensure_ascii=False, indent=2) + "\n")


def _write(path: Path, text: str) -> None:
    temporary = path.with_name(f".{path.name}.tmp")
    temporary.write_text(text, encoding="utf-8")
    os.replace(temporary, path)
