"""Every row of docs/hostile-input.md, through the code of production in a bounded process of its own.

The table says what becomes of a case; here it is asked whether that is so, whether the rows around a bad one are taken,
whether the answer names the place, whether personal numbers stand anywhere, and what memory it took.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hub.domain.characters import mask_personal, shorten_personal, unfit_character
from tests.hostile import ways
from tests.hostile.bounded import MAX_GROWTH_BYTES, Bounded
from tests.hostile.registry import GENERATORS, Case, case, read_table
from tests.support_contracts import IDENTITY_NUMBER, PHONE

CASES = read_table()
#: Within a masked number, of which the first three and the last two characters stay.
_SECRET_PARTS = (IDENTITY_NUMBER[4:12], PHONE[4:9])


@pytest.fixture(scope="module")
def bounded() -> Iterator[Bounded]:
    with Bounded() as process:
        yield process


def leaked(text: str) -> list[str]:
    """Parts of personal numbers in a text, also where they are hidden in it."""
    plain = "".join(c for c in unicodedata.normalize("NFKC", text) if c.isalnum())
    return [part for part in _SECRET_PARTS if part in plain]


def test_every_row_has_a_generator_and_every_generator_a_row() -> None:
    ways.load()
    assert sorted(each.name for each in CASES) == sorted(GENERATORS)
    with pytest.raises(ValueError, match="two generators"):
        case(CASES[0].name)(lambda: None)


def test_a_table_that_is_not_whole_is_an_error() -> None:
    row = "| `a` | CSV | x | taken | | |"
    assert read_table(f"{row}\n| other |") == [Case("a", "CSV", "x", "taken", "", "")]
    with pytest.raises(ValueError, match="stands twice"):
        read_table(f"{row}\n{row}")
    with pytest.raises(ValueError, match="5 cells"):
        read_table("| `a` | CSV | x | taken | |")


def test_the_check_for_leaks_sees_what_is_hidden() -> None:
    for hidden in (IDENTITY_NUMBER, " ".join(IDENTITY_NUMBER), IDENTITY_NUMBER[:9] + "\u200b" + IDENTITY_NUMBER[9:]):
        assert leaked(f"a{hidden}b") == [_SECRET_PARTS[0]]
        assert leaked(mask_personal(f"号 {hidden}。")) == []
    for most in range(5, 40):
        text = shorten_personal(f"号码为 {IDENTITY_NUMBER}，电话 {PHONE}", most)
        assert leaked(text) == [] and len(text) <= most


def test_what_is_written_with_joiners_is_kept() -> None:
    assert unfit_character("བོད་ 👨\u200d👩 ‎甲\u200f\n\t𠮷") is None
    assert unfit_character("甲\u202e") == "\u202e"


@pytest.fixture
def server(request: pytest.FixtureRequest) -> dict[str, Any] | None:
    if request.node.callspec.params["given"].way != "SFTP":
        return None
    found = request.getfixturevalue("sftp_server")
    return {**found._asdict(), "key_file": str(found.key_file)}


@pytest.mark.parametrize("given", CASES, ids=lambda given: given.name)
def test_what_comes_of_it(given: Case, bounded: Bounded, server: dict[str, Any] | None, tmp_path: Path) -> None:
    found = bounded.run(given.name, tmp_path, server)
    assert "died" not in found, found["died"]
    assert found["growth"] < MAX_GROWTH_BYTES
    assert found["end"] == given.end
    if given.words:
        assert given.code and given.words in found["said"]
    else:
        assert given.end in ("taken", "left alone") and not given.code
    if given.code != "-":
        assert given.code in found["codes"] if given.code else found["codes"] == []
    assert leaked(found["said"] + (tmp_path / "log.txt").read_text(errors="replace")) == []
    _LOOKS[given.way](given, found, found["expected"])


def _look_at_files(given: Case, found: dict[str, Any], expected: dict[str, Any]) -> None:
    assert set(expected["taken"]) <= set(found["taken"]), "the rows around it are taken"
    if given.end == "rejected row":
        assert sorted({line[0] for line in found["told"]}) == list(expected["rows"])
        if expected["column"] is not None:
            assert expected["column"] in [line[1] for line in found["told"]]
        assert all(line[3] for line in found["told"])
    if given.end == "taken":
        assert found["taken"] or given.name == "csv-header-only"
    if given.end in ("refused file", "left alone"):
        assert found["taken"] == [] and found["told"] == []
        assert bool(found["left"]) == (given.end == "left alone" and given.way != "SFTP")
    else:
        assert found["left"] == []
    for name, content in expected["values"]:
        assert content in [event[name] for event in found["events"]]
    assert all(unfit_character(content) is None for event in found["events"] for content in event.values())
    # The list that goes back runs nothing: not as CSV, not as a workbook.
    starts = [cell.strip("\u00a0\u3000 \t\n")[:1] for cell in found["cells"]]
    assert not set(starts) & set("=+-@＝＋－＠") and "f" not in found["kinds"]


def _look_at_request(given: Case, found: dict[str, Any], expected: dict[str, Any]) -> None:
    pointer = expected["pointer"]
    if given.end.startswith("refused event"):
        assert found["taken"] == ["JC-1", "JC-9"] and pointer in found["pointers"]
    elif given.end == "taken":
        assert found["taken"]
    else:
        assert found["taken"] == [] and (pointer is None or pointer in found["pointers"])
    assert found["read"] <= (8 << 20) + (1 << 17), "what is too much is not read to its end"


def _look_at_answer(given: Case, found: dict[str, Any], expected: dict[str, Any]) -> None:
    assert found["files"][0] in found["said"], "the result names the file"
    if given.end == "refused file":
        assert found["written"] == 0
    if given.end == "rejected row":
        assert [line[0] for line in found["told"]] == [3] and len(found["taken"]) == 2
    assert all(found["remedies"])


_LOOKS = {
    "CSV": _look_at_files, "XLSX": _look_at_files, "names of files": _look_at_files, "SFTP": _look_at_files,
    "SQL": _look_at_files, "JSON polled": _look_at_files, "XML of leads": _look_at_files,
    "JSON by HTTP": _look_at_request,
    "answers by file": _look_at_answer,
}  # fmt: skip
