"""The usual row of a large file: never seen before, its enterprise said by a valid code, nothing odd about it.

What such rows become is worked out together, column by column; every other row goes one by one the way that
``hub.intake.taking`` describes. The two make the same of the same rows, which a test holds.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from datetime import datetime
from functools import partial
from itertools import repeat
from typing import NamedTuple, cast

from hub.bus.records import Output
from hub.intake.facts.claims import Claim, Ends
from hub.intake.facts.early import EarlyFacts, FactMaker
from hub.intake.firsts import Firsts
from hub.intake.versions import EventWriter, Identified
from hub.state.seen_index import SeenRow


class Usual(NamedTuple):
    """What a usual row, of this key, becomes. Of one that is a declared fact ``claim`` makes the event its owner:
    whoever publishes the event puts the claim's header to its others and the entry into ``Turn.made``, unless another
    row of the batch came first. Then the row is none of the usual ones."""

    key: bytes
    output: Output
    after: SeenRow
    claim: Claim | None


class Usuals(NamedTuple):
    """The usual ones among the rows of a batch, by their numbers there, in columns. ``facts`` and ``ends``, of which
    claims are made, are empty where no row is a declared fact."""

    numbers: Sequence[int]
    firsts: Firsts | None
    facts: Sequence[bytes | None] = ()
    ends: Sequence[Ends] = ()


# Without the call of Python code that a named tuple's own constructor is.
_usual = partial(tuple.__new__, Usual)


def usual_rows(
    writer: EventWriter, news: Mapping[int, Identified], bodies: Mapping[int, bytes | None],
    maker: FactMaker | None, early: EarlyFacts | None, *, is_free: Callable[[bytes], bool] | None = None,
) -> Usuals:
    """The usual ones among ``news``, rows of a batch by their number there that have no version yet, as far as anybody
    knows; ``bodies`` are their encoded values. ``early`` are the facts of the batch, made by ``maker``; a row whose
    fact ``is_free`` denies is none of the usual ones."""
    again = _keys_that_come_again(news.values())
    numbers, items = [], []
    for number, item in news.items():
        # Bodies are there where all rows are of one kind, and so of one topic. A warning may be one about the code.
        if bodies[number] is None or item.key in again or item.row.warnings or item.row.is_removed:
            continue
        numbers.append(number)
        items.append(item)
    subjects = writer.firsts.subjects(items)
    facts = [None] * len(items) if early is None else early.of(items)
    kept = [
        at for at, (subject, fact) in enumerate(zip(subjects, facts, strict=True))
        if subject is not None and (fact is None or is_free is None or is_free(fact))
    ]
    if len(kept) < len(items):
        numbers, items = [numbers[at] for at in kept], [items[at] for at in kept]
        subjects, facts = [subjects[at] for at in kept], [facts[at] for at in kept]
    if not items:
        return Usuals((), None)
    topic = writer.target(items[0].row.kind)[0]
    firsts = writer.firsts.make(
        topic, items, cast("list[bytes]", subjects), [cast(bytes, bodies[number]) for number in numbers]
    )
    if maker is None or facts.count(None) == len(facts):
        return Usuals(numbers, firsts)
    return Usuals(numbers, firsts, facts, maker.ends(topic, items))


def made_of(usuals: Usuals, writer: EventWriter, maker: FactMaker | None, now: datetime) -> dict[int, Usual]:
    """What each becomes, by its number; ``now`` is the time of its event."""
    firsts = usuals.firsts
    if firsts is None:
        return {}
    key_texts = firsts.key_texts()
    claims: Iterable[Claim | None] = repeat(None, len(usuals.numbers))
    if usuals.facts and maker is not None:
        claims = maker.claims.make(usuals.facts, usuals.ends, firsts, key_texts)
    made = zip(firsts.keys, writer.firsts.outputs(firsts, key_texts, now), firsts.afters(), claims, strict=True)
    return dict(zip(usuals.numbers, map(_usual, made), strict=True))


def _keys_that_come_again(items: Collection[Identified]) -> Collection[bytes]:
    keys = [item.key for item in items]
    if len(set(keys)) == len(keys):
        return ()
    return {key for key, count in Counter(keys).items() if count > 1}
