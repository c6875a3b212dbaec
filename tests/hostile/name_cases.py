"""Names of files, and what lies under a name: in a folder that is watched, and on an SFTP server."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from pathlib import Path

from tests.hostile.registry import case
from tests.hostile.rows import text
from tests.hostile.text_cases import ALL
from tests.hostile.ways import Expected
from tests.support_contracts import IDENTITY_NUMBER

NONE = Expected(taken=())
_Put = Callable[[Path], None]


def _named(name: bytes) -> _Put:
    def put(folder: Path) -> None:
        with open(os.path.join(os.fsencode(folder), name), "wb") as file:
            file.write(text().encode())

    return put


def _link(target: str) -> _Put:
    def put(folder: Path) -> None:
        (folder.parent / "outside.csv").write_text(text(), encoding="utf-8")
        (folder / "link.csv").symlink_to(target)

    return put


def _pipe(folder: Path) -> None:
    os.mkfifo(folder / "pipe.csv")


def _socket(folder: Path) -> None:
    place = os.getcwd()
    os.chdir(folder)  # the name of a socket is short
    try:
        with socket.socket(socket.AF_UNIX) as made:
            made.bind("socket.csv")
    finally:
        os.chdir(place)


def _directory(folder: Path) -> None:
    (folder / "folder.csv").mkdir()


def _names(name: str, put: _Put, folder: Expected = NONE, server: Expected | None = NONE) -> None:
    """A case of the watched folder, ``name-…``, and of the server, ``sftp-…``."""
    for prefix, expected in (("name", folder), ("sftp", server)):
        if expected is not None:
            _one(f"{prefix}-{name}", put, expected)


def _one(name: str, put: _Put, expected: Expected) -> None:
    @case(name)
    def generate(folder: Path) -> Expected:
        put(folder)
        return expected


_names("traversal-windows", _named(b"a\\..\\..\\evil.csv"))
_names("line-break", _named(b"a\nb.csv"))
_names("escape-sequence", _named(b"\x1b[2Ja.csv"))
_names("bidi", _named("年报\u202evsc.exe".encode()))
_names("not-utf8", _named(b"\xff\xfe.csv"))
_names("gb18030", _named("合作市.csv".encode("gb18030")), server=ALL)
_names("longest", _named(b"a" * 251 + b".csv"), ALL)
_names("long", _named("长".encode() * 60 + b".csv"), ALL, ALL)
_names("device", _named(b"CON.csv"), ALL, ALL)
_names("formula", _named(b"=cmd.csv"), ALL, ALL)
_names("dash", _named(b"-rf.csv"), ALL, ALL)
_names("blank", _named(b" .csv"), ALL, ALL)
_names("percent", _named(b"%s%n{0}.csv"), ALL, ALL)
_names("identity-number", _named(f"{IDENTITY_NUMBER}.csv".encode()), ALL, ALL)
_names("link", _link("../outside.csv"))
_names("link-to-a-device", _link("/dev/zero"))
_names("link-to-nothing", _link("nowhere.csv"))
_names("pipe", _pipe)
_names("socket", _socket)
_names("folder", _directory)
_names("hidden", _named(b".a.csv"))
_names("being-written", _named(b"a.csv.PART"))
