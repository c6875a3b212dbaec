"""``hub demo``: a whole season through the whole hub, as a newcomer runs it."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest

from hub.sandbox.generate.manifest import Manifest
from tests.support_hub import hub, public_of, reported_to_the_province, shown_to_the_public, wait_for_nothing_left

ROWS, SEED = 1200, 7
STATUSES = ("published", "replaced", "withdrawn", "unchanged", "refused")


def test_the_demo_adds_up_and_leaves_nothing_running(tmp_path: Path) -> None:
    _check_demo(tmp_path / "demo")


@pytest.mark.slow
def test_the_same_demo_twice_has_the_same_result(tmp_path: Path) -> None:
    first = _check_demo(tmp_path / "demo")
    # The same folder, which is emptied, and the same seed.
    assert _check_demo(tmp_path / "demo") == first


def _check_demo(data: Path) -> dict[str, object]:
    """One run and everything that has to be true of it; returns what must not differ between runs."""
    arguments = ("--rows", str(ROWS), "--seed", str(SEED), "--data", str(data), "--json")
    done = hub(data, "demo", *arguments, timeout=400)
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    wait_for_nothing_left(data)
    said = json.loads(done.stdout)
    manifest = Manifest.from_json((data / "exports" / "manifest.json").read_text(encoding="utf-8"))
    truth, rows, tally, public = manifest.totals, said["rows"], said["tally"], said["public"]

    assert said["faults"] == []
    accepted, rejected = sum(rows["accepted"].values()), sum(rows["rejected"].values())
    assert rows["read"] == truth["rows"] == ROWS == accepted + rejected + rows["repeated"]
    assert (accepted, rejected) == (truth["new"] + truth["amended"], truth["rejected"])
    assert rows["repeated"] == truth["repeated"] > 0
    assert rows["rejected"] == truth["rejected_by_problem"]
    assert rows["accepted"] == _last_words(truth["events"])

    assert tally["accepted"] == tally["decisions"] == accepted
    assert {kind: n for found in tally["events"].values() for kind, n in found.items()} == truth["events"]
    assert tally["rejected"] == truth["rejected_by_problem"]
    assert (tally["is_settled"], tally["undecided"], tally["repeated_records"]) == (True, 0, 0)
    assert tally["dead_letters"] == {}

    disclosed = tally["disclosed"]
    assert set(disclosed) == {"gsxt", "creditchina", "website", "province"}
    assert {status: disclosed["gsxt"].get(status, 0) for status in STATUSES} == {
        status: public[status] for status in STATUSES
    }
    assert public["currently_public"] == public["published"] - public["withdrawn"] > 0
    assert public["max_publications_per_order"] == 1
    assert shown_to_the_public(data) == public_of(manifest)
    for name, found in said["channels"].items():
        assert found["max_publications_per_order"] == 1
        # Of what it never had a withdrawal is answered "withdrawn" too: these systems know no versions.
        assert 0 < found["currently_public"] <= disclosed[name]["published"]
    assert set(said["channels"]) == {"creditchina", "province"}
    reported = reported_to_the_province(data)
    assert {str(row["table"]) for row in reported.values()} == {"inspection", "penalty", "other"}
    # A natural person is known there by its number; whoever has a code by that alone.
    persons = [row for row in reported.values() if row.get("party_certificate_kind") == "111"]
    assert persons and len(reported) == said["channels"]["province"]["currently_public"]
    assert sum(tally["delivered"]["government-procurement"].values()) == sum(
        tally["events"]["blacklist.notices.v1"].values()
    )
    for name, found in tally["delivered"].items():
        # What was taken back within the same moment did not go out, and nobody was asked for an answer to it.
        assert {"delivered"} <= set(found) <= {"delivered", "superseded"}
        assert sum(tally["answered"][name].values()) == found["delivered"]
    # Not the clocks, nor how notices ended: what is listed and taken back in one second ends in either way.
    stable = ("events", "rejected", "decisions", "unmatched", "withheld")
    notices = {name: sum(found.values()) for name, found in tally["delivered"].items()}
    return {"rows": rows, "public": public["currently_public"], "notices": notices} | {
        name: tally[name] for name in stable
    }


def _last_words(events: dict[str, int]) -> Counter[str]:
    """Counts by what happened: reports for clerks name events by the last word of their type."""
    found = Counter[str]()
    for name, number in events.items():
        found[name.rpartition(".")[2]] += number
    return found
