"""Each way into intake, walked to its end by the code of production: what a generator gives goes in, and what its
sender is told comes out.

===================  ==========================================  =========================================
way                  a generator is called with                  and gives
===================  ==========================================  =========================================
CSV, XLSX, names     the folder that is watched                  ``Expected``, having written files
SQL                  a function that runs SQL                    ``Expected``, having made the table ``inspection``
JSON by HTTP         nothing                                     ``Request``
JSON polled          nothing                                     ``Reply``
SFTP                 the folder on the server                    ``Expected``, having written files
answers by file      nothing                                     (ending of the file's name, content)
XML of leads         nothing                                     (what stands before the XML, the task)
===================  ==========================================  =========================================
"""

from __future__ import annotations

import asyncio
import csv
import importlib
import json
from collections.abc import Callable, Iterable
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import openpyxl
from fastapi import FastAPI, Response

from hub.intake import Source
from hub.intake.build import source_folder
from hub.web.app import create_app
from tests.hostile.memory import Taken, take_all
from tests.hostile.registry import GENERATORS, read_table
from tests.support_contracts import IDENTITY_NUMBER, PHONE
from tests.support_http_intake import KEY, STRUCTURED, MemoryDesk, hub_map, router_of
from tests.support_intake import catalog, open_folder

_MODULES = ("text_cases", "code_cases", "workbook_cases", "http_cases", "polled_cases", "sql_cases", "name_cases",
            "answer_cases", "lead_cases")  # fmt: skip
#: Never in an answer, a report, a rejection or a log; every generator puts them into what it makes.
SECRETS = (IDENTITY_NUMBER, PHONE)
#: Good rows around the bad one.
BEFORE, AFTER = "JC000001", "JC000009"


class Expected(NamedTuple):
    """What a generator knows of its case: ``rows`` are the numbers of rows that are told of, ``column`` the column
    that is named (``None``: the row as a whole), ``taken`` the natural keys that become events, ``values`` fields
    of an event as they have to stand there."""

    rows: tuple[int, ...] = ()
    column: str | None = None
    taken: tuple[str, ...] = (BEFORE, AFTER)
    values: tuple[tuple[str, Any], ...] = ()
    settings: tuple[tuple[str, Any], ...] = ()


class Request(NamedTuple):
    body: Iterable[bytes]
    headers: tuple[tuple[str, str], ...] = ()
    kind: str = STRUCTURED
    #: Where a fault is named; ``None`` for a request that is refused whole.
    pointer: str | None = None


class Polled(NamedTuple):
    """The first answer of the interface; ``rows`` and ``taken`` as in ``Expected``."""

    body: bytes
    headers: tuple[tuple[str, str], ...] = ()
    rows: tuple[int, ...] = ()
    column: str | None = None
    taken: tuple[str, ...] = ()


@cache
def web_side() -> tuple[FastAPI, MemoryDesk]:
    """Of the process: a case has its own, since it is a process too."""
    desk = MemoryDesk()
    return create_app([("", router_of(desk))]), desk


def load() -> None:
    """Imports every module of generators."""
    for name in _MODULES:
        importlib.import_module(f"tests.hostile.{name}")


def warm_up() -> None:
    """Everything that is loaded once: it shall not count as growth of a case."""
    load()
    catalog()
    hub_map()
    web_side()
    for name in ("sftp", "served", "http_poll", "filedrop", "sql", "lead_feed"):
        importlib.import_module(f"tests.support_{name}")


def run(name: str, folder: Path, server: dict[str, Any] | None) -> dict[str, Any]:
    """Walks a case. What is given is of JSON: ``end`` and ``code`` in the words of the table, ``said`` everything
    that the sender is told, ``told`` (row, column, code, words) of each problem, ``taken``, and what was expected."""
    load()
    (way,) = [case.way for case in read_table() if case.name == name]
    return _WAYS[way](GENERATORS[name], folder, server)


def _read_folder(make: Callable[..., Expected], folder: Path, _: object) -> dict[str, Any]:
    inbox = folder / "in"
    inbox.mkdir()
    expected = make(inbox)
    before = {path.name for path in inbox.iterdir()}
    source = open_folder(inbox, mappings=["inspection-results"], **dict(expected.settings))
    found = take_all(source, folder)
    left = before & {path.name for path in inbox.iterdir()}
    return _of_files(found, expected, [inbox / "done", inbox / "refused"], left)


def _read_sftp(make: Callable[..., Expected], folder: Path, server: dict[str, Any] | None) -> dict[str, Any]:
    from tests.support_sftp import SftpServer, open_sftp

    assert server is not None
    given = SftpServer(server["port"], server["user"], server["host_key"], Path(server["key_file"]))
    inbox = folder / "in"
    inbox.mkdir()
    expected = make(inbox)
    source = open_sftp(given, inbox, folder / "data", reports="told", **dict(expected.settings))
    (inbox / "told").mkdir()
    found = take_all(source, folder)
    again = open_sftp(given, inbox, folder / "data", reports="told", **dict(expected.settings))
    assert take_all(again, folder).outcomes == [], "what was told is told once"
    return _of_files(found, expected, [inbox / "told"], set())


def _read_sql(make: Callable[..., Expected], folder: Path, _: object) -> dict[str, Any]:
    from tests.support_sql import execute, open_sql

    url = f"sqlite:///{folder}/register.db"
    expected = make(lambda *statements: execute(url, *statements))
    reports = folder / "told"
    source = open_sql(url, folder / "data", reports=str(reports), **dict(expected.settings))
    return _of_files(take_all(source, folder), expected, [reports], set())


def _of_files(found: Taken, expected: Expected, folders: list[Path], left: set[str]) -> dict[str, Any]:
    told: list[list[Any]] = []
    said: list[str] = []
    cells: list[str] = []
    kinds: set[str] = set()
    for path in sorted(path for folder in folders if folder.exists() for path in folder.iterdir()):
        if path.name.endswith(".errors.xlsx"):
            book = openpyxl.load_workbook(path)
            kinds |= {cell.data_type for row in book.worksheets[0].iter_rows() for cell in row}
            rows = [list(row) for row in book.worksheets[0].iter_rows(min_row=2, values_only=True)]
            told += [[row[0], row[2], row[7], " ".join(str(cell or "") for cell in row), row[6]] for row in rows]
        elif path.name.endswith(".errors.csv"):
            with path.open(encoding="utf-8-sig", newline="") as file:
                lines = list(csv.reader(file))[1:]
            cells += [cell for line in lines for cell in line]
            told += [[int(line[0]), line[2], line[7], " ".join(line), line[6]] for line in lines]
        elif path.name.endswith((".report.json", ".refused.txt", ".refused.json")):
            said.append(path.read_text(encoding="utf-8-sig"))
    refusals = [outcome.reason or "" for outcome in found.outcomes if outcome.status == "refused"]
    rejected = [line for line in told if not str(line[4]).startswith("已接收")]
    is_read = any(outcome.status == "finished" for outcome in found.outcomes)
    end = "refused file" if refusals else "rejected row" if rejected else "taken" if is_read else "left alone"
    codes = {each["problem_code"] for each in found.rejections}
    return {
        "end": end, "codes": sorted(codes), "told": rejected, "refusals": refusals, "left": sorted(left),
        "cells": cells, "kinds": sorted(kinds),
        "said": "\n".join([*said, *(line[3] for line in told), *refusals, json.dumps(
            [{key: each[key] for key in ("file", "sheet", "column", "value", "problem", "remedy", "row")}
             for each in found.rejections], ensure_ascii=False)]),
        "files": [outcome.name for outcome in found.outcomes],
        "statuses": [outcome.status for outcome in found.outcomes],
        "counts": [outcome.counts.as_dict() for outcome in found.outcomes],
        "taken": sorted(str(each.get("behaviour_number") or each["record_unique_identity"]) for each in found.events),
        "events": [{name: str(value) for name, value in event.items()} for event in found.events],
        "expected": expected._asdict(),
    }  # fmt: skip


def _post(make: Callable[..., Request], folder: Path, _: object) -> dict[str, Any]:
    request, (app, desk) = make(), web_side()
    headers = [("content-type", request.kind), ("authorization", f"Bearer {KEY}"), *request.headers]
    body, status, read = iter(request.body), [0], [0]
    answer = bytearray()

    async def receive() -> dict[str, Any]:
        chunk = next(body, b"")
        read[0] += len(chunk)
        return {"type": "http.request", "body": chunk, "more_body": bool(chunk)}

    async def send(message: Any) -> None:
        if message["type"] == "http.response.start":
            status[0] = message["status"]
        else:
            answer.extend(message.get("body", b""))

    scope = {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "POST", "path": "/v1/events",
        "raw_path": b"/v1/events", "query_string": b"", "root_path": "", "scheme": "http",
        "server": ("127.0.0.1", 80), "client": ("127.0.0.1", 1),
        "headers": [(name.lower().encode(), value.encode("latin-1")) for name, value in headers],
    }  # fmt: skip
    asyncio.run(app(scope, receive, send))
    said = json.loads(answer)
    problems = [each["problem"] for each in said.get("results", []) if "problem" in each] or [said]
    refused = [each for each in problems if "type" in each and str(each["type"]).startswith("/problems/")]
    return {
        "end": f"refused request ({status[0]})" if status[0] >= 400
               else f"refused event ({refused[0]['status']})" if refused else "taken",
        "codes": sorted({each["type"].removeprefix("/problems/") for each in refused}),
        "pointers": [fault["pointer"] for each in refused for fault in each.get("errors", [])],
        "said": answer.decode(), "taken": [each.id for each in desk.taken], "read": read[0],
        "events": [{name: str(value) for name, value in each.row.value.items()} for each in desk.taken],
        "expected": {"pointer": request.pointer},
    }  # fmt: skip


def _poll(make: Callable[..., Polled], folder: Path, _: object) -> dict[str, Any]:
    from connectors.http_poll.client import ApiError
    from tests.support_http_poll import at, open_http
    from tests.support_served import served

    polled = make()
    app = FastAPI()

    @app.get("/{path:path}")
    def page() -> Response:
        return Response(polled.body, headers=dict(polled.headers), media_type="application/json")

    with served(app) as url:
        reports = folder / "told"
        source: Source = open_http(at(url, "sync", max_page_bytes=8 << 20, reports=str(reports)), folder / "data")
        expected = Expected(polled.rows, polled.column, polled.taken)
        try:
            return _of_files(take_all(source, folder), expected, [reports], set())
        except ApiError as error:
            # The service waits and asks again; the reason stands in the log and in the source's state.
            return {"end": "no reading", "codes": ["ApiError"], "said": str(error), "taken": [], "told": [],
                    "left": [], "cells": [], "kinds": [], "events": [], "expected": expected._asdict()}  # fmt: skip


def _feed(make: Callable[..., tuple[str, str]], folder: Path, _: object) -> dict[str, Any]:
    from tests.support_lead_feed import Platform, blocks, open_feed

    prolog, task = make()
    with Platform(folder / "platform") as platform:
        platform.book.distribute([blocks(1)])
        platform.book.distribute_raw(task, prolog)
        platform.book.distribute([blocks(9)])
        source = open_feed(platform.url, folder / "data", page_tasks=50, max_page_bytes=8 << 20)
        reports = source_folder(folder / "data", source.name) / "reports"
        expected = Expected((2,), taken=("GJXS20260000000001", "GJXS20260000000009"))
        return _of_files(take_all(source, folder), expected, [reports], set())


def _answer(make: Callable[..., tuple[str, bytes]], folder: Path, _: object) -> dict[str, Any]:
    from hub.delivery.filedrop.box import Packing
    from tests.support_filedrop import Drop
    from tests.support_outlets import notice

    drop = Drop(folder, packing=Packing(window_seconds=10.0, max_notices=3))
    try:
        drop.desk.take([notice(subject, 1)._replace(offset=place) for place, subject in enumerate("ABC")])
        (package,) = drop.packages()
        end, content = make()
        name = f"{package.name}{end}"
        drop.department.put(name, content)
        assert drop.look() == 1
        result = drop.department.result(name)
        if end.endswith(".json"):
            faults = [(each.get("row"), each["field"], each["problem"], each["remedy"]) for each in result["faults"]]
            verdict = result["verdict"]
        else:
            faults = [(each[2], each[3], each[5], each[6]) for each in result["faults"]]
            verdict = result["结果"]
        is_whole = verdict == "未受理"
        return {
            "end": "refused file" if is_whole else "rejected row" if faults else "taken", "codes": [],
            "said": json.dumps(result, ensure_ascii=False, default=str),
            "told": [[row, column, "", f"{problem} {remedy}", ""] for row, column, problem, remedy in faults],
            "remedies": [remedy for *_, remedy in faults], "taken": sorted(drop.desk.ends()), "events": [],
            "written": len(drop.desk.written), "files": [name], "expected": {},
        }  # fmt: skip
    finally:
        drop.close()


_WAYS: dict[str, Callable[..., dict[str, Any]]] = {
    "CSV": _read_folder, "XLSX": _read_folder, "names of files": _read_folder, "SFTP": _read_sftp, "SQL": _read_sql,
    "XML of leads": _feed, "JSON by HTTP": _post, "JSON polled": _poll, "answers by file": _answer,
}
