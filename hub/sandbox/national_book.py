"""What the stand-in of the national platform has distributed, and what was answered; in one SQLite file."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple
from xml.etree.ElementTree import Element, SubElement, tostring

from hub.sandbox.generate.tasks import Blocks
from hub.sandbox.store import open_database, transaction

_SCHEMA = """
CREATE TABLE IF NOT EXISTS task (task_no TEXT PRIMARY KEY, status TEXT NOT NULL, blocks TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS entry (seq INTEGER PRIMARY KEY AUTOINCREMENT, prolog TEXT NOT NULL, body TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS answer (answer_id TEXT PRIMARY KEY, task_no TEXT NOT NULL, status TEXT NOT NULL,
    result TEXT NOT NULL, content TEXT NOT NULL, times INTEGER NOT NULL DEFAULT 1);
"""
#: How far a task has come; an answer never takes it back.
_RANKS = {"分发": 0, "认领": 1, "反馈": 2, "退回": 2, "结束": 3}
_PROCESS = ("claimTime", "endTime", "endReason", "feedbackTime", "feedbackSuggestion")


class Entry(NamedTuple):
    """One task as it is distributed: ``prolog`` stands before the root of its page, which only a hostile one has."""

    seq: int
    prolog: str
    body: str


class Answered(NamedTuple):
    """What became of an answer: ``accepted``, ``unchanged`` behind a later status, or ``repeated``."""

    result: str
    reference: str


class NationalBook:
    """Used by one event loop; whoever makes it closes it."""

    def __init__(self, path: Path) -> None:
        self._database = open_database(path, _SCHEMA)

    def close(self) -> None:
        self._database.close()

    def distribute(self, tasks: Iterable[Blocks]) -> None:
        """Puts tasks into the feed; one of a known number is distributed once more, as it is given."""
        with transaction(self._database):
            for blocks in tasks:
                info = blocks["taskInfo"]
                self._database.execute(
                    "INSERT INTO task VALUES (?, ?, ?) ON CONFLICT (task_no) DO UPDATE SET blocks = excluded.blocks",
                    (info.get("taskNo", ""), info.get("status", "分发"), json.dumps(blocks, ensure_ascii=False)),
                )
                self._enter("", task_xml(blocks))

    def distribute_raw(self, body: str, prolog: str = "") -> None:
        """Puts anything at all into the feed, also what is no XML."""
        self._enter(prolog, body)

    def page(self, after: int, limit: int) -> tuple[list[Entry], bool]:
        """Entries behind ``after``, and whether there are more."""
        found = self._database.execute(
            "SELECT seq, prolog, body FROM entry WHERE seq > ? ORDER BY seq LIMIT ?", (after, limit + 1)
        ).fetchall()
        return [Entry(*row) for row in found[:limit]], len(found) > limit

    def answer(self, answer_id: str, task_no: str, status: str, content: Mapping[str, str]) -> Answered | None:
        """Takes an answer once; ``None`` if there is no such task."""
        reference = f"GJHZ-{answer_id[:13]}"
        with transaction(self._database):
            again = self._database.execute(
                "UPDATE answer SET times = times + 1 WHERE answer_id = ? RETURNING result", (answer_id,)
            ).fetchone()
            if again is not None:
                return Answered("repeated", reference)
            task = self._database.execute("SELECT status, blocks FROM task WHERE task_no = ?", (task_no,)).fetchone()
            if task is None:
                return None
            is_news = _RANKS[status] > _RANKS.get(task["status"], 0)
            result = "accepted" if is_news else "unchanged"
            self._database.execute(
                "INSERT INTO answer (answer_id, task_no, status, result, content) VALUES (?, ?, ?, ?, ?)",
                (answer_id, task_no, status, result, json.dumps(content, ensure_ascii=False)),
            )
            if is_news:
                self._move(task_no, status, json.loads(task["blocks"]), content)
        return Answered(result, reference)

    def answers(self) -> list[dict[str, Any]]:
        """Every answer that was taken, in the order of their arrival; ``times`` counts how often it came."""
        found = self._database.execute("SELECT * FROM answer ORDER BY rowid").fetchall()
        return [{**dict(row), "content": json.loads(row["content"])} for row in found]

    def stats(self) -> dict[str, int]:
        """Tasks by status, entries of the feed, answers."""
        rows = self._database.execute("SELECT status, count(*) AS n FROM task GROUP BY status").fetchall()
        entries, answers = (
            self._database.execute(f"SELECT count(*) FROM {table}").fetchone()[0] for table in ("entry", "answer")
        )
        return {**{row["status"]: row["n"] for row in rows}, "entries": entries, "answers": answers}

    def _move(self, task_no: str, status: str, blocks: dict[str, dict[str, str]], content: Mapping[str, str]) -> None:
        process = blocks.get("processInfo", {}) | {name: content[name] for name in _PROCESS if name in content}
        moved = {**blocks, "taskInfo": {**blocks["taskInfo"], "status": status}, "processInfo": process}
        self._database.execute(
            "UPDATE task SET status = ?, blocks = ? WHERE task_no = ?",
            (status, json.dumps(moved, ensure_ascii=False), task_no),
        )
        if status != "退回":  # it goes to somebody else now
            self._enter("", task_xml(moved))

    def _enter(self, prolog: str, body: str) -> None:
        self._database.execute("INSERT INTO entry (prolog, body) VALUES (?, ?)", (prolog, body))


def task_xml(blocks: Blocks) -> str:
    """A task as the platform writes it."""
    task = Element("task")
    for name, elements in blocks.items():
        block = SubElement(task, name)
        for tag, text in elements.items():
            SubElement(block, tag).text = text
    return tostring(task, encoding="unicode")
