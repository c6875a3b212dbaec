"""kill -9 of the whole hub in every phase of its work: nothing is lost, nothing happens twice.

A killed process loses nothing that it gave to the kernel, so this is not a loss of power to the disk;
it is everything short of that: no process gets to say a word, and all end at once.
"""

from __future__ import annotations

import os
import random
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from hub.demo import prepare, reports, sum_reports
from hub.domain.calendar import local_date
from hub.sandbox.generate.manifest import FileTruth, Manifest
from tests.support_hub import (
    TOPICS,
    HubProcess,
    LogEnds,
    department_stats,
    get_json,
    hub_json,
    ids_of,
    ids_on_topics,
    is_at_rest,
    kill,
    public_of,
    read_events,
    reported_to_the_province,
    shown_to_the_public,
    stage_of,
    wait_for_nothing_left,
)

#: ``make chaos`` sets it: so many kills more, each at a random moment.
ROUNDS = int(os.environ.get("HUB_CHAOS_ROUNDS", "0"))
SEED = int(os.environ.get("HUB_CHAOS_SEED", "20260701"))
INBOXES = ("inbox.government-procurement", "inbox.works-bidding", "inbox.leads-gannan", "inbox.leads-hezuo")
Counts = dict[str, int]


def _facts(now: Counts) -> int:
    return sum(now[topic] for topic in TOPICS.values())


#: Phase -> (what is done, what is to do), both counted in records; under way is between them.
PHASES: dict[str, Callable[[Counts], tuple[int, int]]] = {
    "routing": lambda now: (now["routing.decisions.v1"], _facts(now)),
    "disclosure": lambda now: (now["disclosure.receipts.v1"], now["disclosure.orders.v1"]),
    "delivery": lambda now: (now["delivery.receipts.v1"], sum(now[inbox] for inbox in INBOXES)),
}
#: The phases in which all is killed, with the files of the season that arrive before. ``make chaos`` takes each by
#: itself; intake's comes before them in any case.
KILLED: tuple[tuple[str, int], ...] = (("delivery", 7),)
if ROUNDS:
    KILLED = (("routing", 3), ("disclosure", 2), ("delivery", 2))
#: Stage -> records that it has written.
WORK: dict[str, Callable[[Counts], int]] = {
    "intake": _facts,
    "routing": lambda now: now["routing.decisions.v1"],
    "disclosure": lambda now: now["disclosure.receipts.v1"],
    "delivery": lambda now: now["delivery.receipts.v1"],
    "clocks": lambda now: now["clock.states.v1"],
    "web": lambda now: now["discipline.feedback.v1"],
}
#: Stage -> files of the season that arrive before it is killed: the tenth is the mass listing, of which
#: departments are told and which they answer; the eighteenth takes many of its listings back.
STAGE_KILLS: tuple[tuple[str, int], ...] = (
    ("intake", 2), ("disclosure", 2), ("clocks", 5), ("web", 1), ("delivery", 8), ("routing", 2),
)
if not ROUNDS:  # each of them is killed in tests of its own as well
    STAGE_KILLS = (("disclosure", 4), ("clocks", 6), ("routing", 10))
_COUNTED = [*TOPICS.values(), *INBOXES, "disclosure.orders.v1", "routing.decisions.v1", "disclosure.receipts.v1"]
_COUNTED += ["delivery.receipts.v1", "clock.states.v1", "discipline.feedback.v1"]


class Run:
    """A season whose files arrive when the test says so, and the hub that reads them."""

    def __init__(self, folder: Path, rows: int) -> None:
        self.data = folder / "data"
        self.manifest: Manifest = prepare(self.data, seed=SEED, size=rows, ends_on=local_date(datetime.now(UTC)))
        self._held, self._folder = list(self.manifest.files), folder / "held"
        for file in self._held:
            (self._folder / file.source).mkdir(parents=True, exist_ok=True)
            shutil.move(self._place(file), self._folder / file.source / file.name)
        self.hub = HubProcess(self.data, folder / "console.log")

    @property
    def is_all_released(self) -> bool:
        return not self._held

    def release(self, number: int) -> None:
        """Lets the next files arrive, in the order of their days."""
        for file in self._held[:number]:
            os.replace(self._folder / file.source / file.name, self._place(file))
        del self._held[:number]

    def finish(self) -> None:
        """Lets the rest arrive and waits until there is nothing left to do."""
        self.release(len(self._held))
        wanted = len(self.manifest.files)
        self.hub.wait_until(lambda: len(reports(self.data)) == wanted, "the reports on all files")
        self.hub.wait_until(lambda: is_at_rest(self.hub), "rest")

    def _place(self, file: FileTruth) -> Path:
        return self.data / "exports" / file.source / file.name


@contextmanager
def running(folder: Path, rows: int) -> Iterator[Run]:
    run = Run(folder, rows)
    try:
        yield run
    finally:
        run.hub.close()


def test_a_hub_killed_in_every_phase_loses_nothing_and_repeats_nothing(tmp_path: Path) -> None:
    with running(tmp_path, (2000 if ROUNDS else 1200) + 200 * ROUNDS) as run:
        run.release(3)
        run.hub.launch()
        _wait_for_intake_under_way(run)
        run.hub.kill_all()
        for phase, files in KILLED:
            run.release(files)
            before = _await_phase(run, phase)
            run.hub.kill_all()
            assert before[0] < before[1], phase
        _kill_at_random(run)
        run.hub.start()
        run.finish()
        _check(run)
        assert run.hub.terminate(60) == 0
    wait_for_nothing_left(run.data)


def test_a_stage_killed_under_load_is_started_again_with_the_same_result(tmp_path: Path) -> None:
    with running(tmp_path, 1200) as run:
        run.hub.start()
        log = _log_of(run)
        # A group takes its time to take over from a dead member: whoever others wait for is killed last.
        for stage, files in STAGE_KILLS:
            _kill_under_load(run, log, stage, files)
        run.finish()
        _check(run)
        assert run.hub.terminate(60) == 0
    wait_for_nothing_left(run.data)


def _kill_under_load(run: Run, log: LogEnds, stage: str, files: int) -> None:
    """Lets files arrive, kills the stage as soon as it has done the first of its new work, and sees it back."""
    before = WORK[stage](log.read())
    run.release(files)
    run.hub.wait_until(lambda: WORK[stage](log.read()) > before, f"work of {stage}")
    found = stage_of(run.data, stage)
    assert found is not None
    kill(*found)
    run.hub.wait_until(lambda: stage_of(run.data, stage) not in (None, found), f"{stage} to be started again")


def _log_of(run: Run) -> LogEnds:
    """The ends of the log of the hub that runs now, when it has told where it listens."""
    run.hub.wait_until(lambda: "web" in run.hub.addresses, "the addresses")
    return LogEnds(run.hub.bootstrap, _COUNTED)


def _wait_for_intake_under_way(run: Run) -> None:
    """Some events are on the log, not every file has its report."""
    log = _log_of(run)
    run.hub.wait_until(lambda: _facts(log.read()) > 0, "the first event")
    assert len(reports(run.data)) < 3


def _await_phase(run: Run, phase: str) -> tuple[int, int]:
    """Starts the hub and returns (done, to do) of a moment when the phase had begun its new work."""
    run.hub.launch()
    log = _log_of(run)
    at_first, now = PHASES[phase](log.read())[0], (0, 0)

    def is_under_way() -> bool:
        nonlocal now
        now = PHASES[phase](log.read())
        return at_first < now[0] < now[1]

    run.hub.wait_until(is_under_way, f"{phase} to be under way")
    return now


def _kill_at_random(run: Run) -> None:
    chance = random.Random(SEED)
    for round in range(ROUNDS):
        run.release(0 if run.is_all_released else 1)
        run.hub.launch()
        wait = chance.uniform(0.2, 20.0)
        print(f"round {round}: killed after {wait:.2f} s (HUB_CHAOS_SEED={SEED})")
        time.sleep(wait)
        run.hub.kill_all()


def _check(run: Run) -> None:
    """Everything is as it would be had nothing been killed."""
    truth, manifest = run.manifest.totals, run.manifest
    assert ids_on_topics(read_events(run.hub.bootstrap)) == ids_of(manifest)
    read = sum_reports(run.data)
    accepted, rejected = sum(read["accepted"].values()), sum(read["rejected"].values())
    assert (read["read"], read["repeated"]) == (truth["rows"], truth["repeated"])
    assert (accepted, rejected) == (truth["new"] + truth["amended"], truth["rejected"])
    assert truth["rows"] == accepted + rejected + read["repeated"]

    tally = hub_json(run.data, "tally")
    assert tally["is_settled"] and tally["dead_letters"] == {} and tally["repeated_records"] == 0
    assert tally["accepted"] == accepted
    assert tally["rejected"] == truth["rejected_by_problem"]

    addresses = run.hub.addresses
    stats = get_json(f"{addresses['sandbox']['disclosure']}/api/v1/stats")
    assert stats["max_publications_per_order"] == 1
    assert shown_to_the_public(run.data) == public_of(manifest)
    assert reported_to_the_province(run.data)
    for name, found in department_stats(addresses).items():
        ended = tally["delivered"][name]
        assert {"delivered"} <= set(ended) <= {"delivered", "superseded"}
        # Taken back before it was on record that it went out: the department may have it, and has what takes it back.
        assert ended["delivered"] <= found["notices"] <= sum(ended.values())
        assert (found["answered"], found["refused"]) == (found["notices"], 0)
        assert sum(tally["answered"][name].values()) == found["notices"]
