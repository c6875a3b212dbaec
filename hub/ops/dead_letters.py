"""The desk for dead letters: what there is, by cause; a look into one; and putting them back where they came from.

What was put back is said by acts alone: a request names its letters, and they are redriven once it is done. A second
topic of truth would have to agree with it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from hub.bus.dead_letters import redriven
from hub.bus.publisher import Publisher
from hub.bus.reader import read_topics
from hub.bus.records import Output, Record
from hub.contracts.catalog import Catalog
from hub.domain.acts import Actor, Request
from hub.domain.offset_ranges import Spot, format_spots, parse_spot
from hub.errors import InputError, UsageError
from hub.ops.acts import ACTS_TOPIC, ActsDesk, Filter
from hub.ops.letter_content import Content, View, content_of
from hub.ops.letter_shelf import LetterShelf
from hub.ops.letters import ENDING, REDRIVE, Letter, marked, read_letter, read_letters, spots_of

#: From so many letters on, and for ``--all``, a second person looks before they are put back.
MANY = 100
#: So many at once, so that the request that names them fits into one record whatever their places are.
MOST = 20_000
_BATCH = 500
_MAX_DETAIL = 1000


class Wanted(NamedTuple):
    """Which letters are meant: one ``place``, a class, or all of them; and those that failed from ``since`` on.

    Of a class and of all, those that were put back already are left out: had they failed again, they would be there
    as new ones. ``again`` takes them in.
    """

    place: str | None = None
    class_name: str | None = None
    is_all: bool = False
    since: datetime | None = None
    again: bool = False


@dataclass(frozen=True, slots=True)
class Preview:
    """What putting back would do. Times are aware UTC, ``None`` of nothing.

    ``came_back`` were put back before and failed again; ``redriven`` were put back already and did not come back;
    ``without_origin`` do not say where they came from, or name no topic of the map, and stay.
    """

    letters: tuple[Letter, ...]
    by_class: dict[str, int]
    to: dict[str, int]
    oldest: datetime | None
    newest: datetime | None
    came_back: int
    redriven: int
    without_origin: int
    needs_second: bool

    @property
    def count(self) -> int:
        return len(self.letters)


class DeadLetterDesk:
    """``topics`` are those of the map; ``shelf`` has their letters for who is asked again and again. Methods raise
    BrokerError where Kafka does not answer."""

    def __init__(
        self, bootstrap: str, publisher: Publisher, catalog: Catalog, topics: Collection[str], acts: ActsDesk,
        shelf: LetterShelf | None = None,
    ) -> None:
        self._bootstrap, self._publisher, self._catalog, self._acts = bootstrap, publisher, catalog, acts
        self._shelf = shelf
        self._topics = [topic for topic in topics if topic.endswith(ENDING)]
        # Acts are for ever: nothing puts a record there but the desk of acts.
        self._targets = frozenset(topics) - {ACTS_TOPIC} - set(self._topics)

    def letters(self, *, stage: str | None = None, class_name: str | None = None) -> list[Letter]:
        """All letters, or those of a stage or class, the oldest first. Raises UsageError for a stage without any."""
        topics = [topic for topic in self._topics if stage in (None, topic.removesuffix(ENDING))]
        if not topics:
            stages = ", ".join(topic.removesuffix(ENDING) for topic in self._topics)
            raise UsageError(f"There is no stage {stage!r} with dead letters; there are: {stages}.")
        if self._shelf is not None:
            letters = [letter for letter in self._shelf.all() if letter.spot.topic in topics]
        else:
            letters = [read_letter(record) for record in read_topics(self._bootstrap, topics)]
        found = marked(letters, self._acts.read(Filter(kind=REDRIVE)))
        return [letter for letter in found if class_name in (None, letter.class_name)]

    def find(self, place: str) -> tuple[Letter, Record]:
        """One letter and its record. Raises UsageError if there is none."""
        spot = _spot(place)
        record = self._record(spot) if spot.topic in self._topics else None
        if record is not None:
            return read_letters([record], self._acts.read(Filter(kind=REDRIVE)))[0], record
        raise UsageError(f"There is no dead letter {place}; see `hub dead-letters list`.")

    def look(self, place: str, who: Actor, why: str, view: View) -> Content:
        """The content of one letter in ``view``; who looks and why is on record before. Raises InputError without a
        reason, UsageError if there is no such letter."""
        _, record = self.find(place)
        self._acts.look("record.look", who, place, why, details=[("view", view)])
        return content_of(record.value, self._catalog, view)

    def preview(self, wanted: Wanted) -> Preview:
        """What putting back would do, without doing it. Raises UsageError where nothing, or too much, is meant."""
        if sum((wanted.place is not None, wanted.class_name is not None, wanted.is_all)) != 1:
            raise UsageError("Name one of PLACE, --class NAME and --all.")
        if wanted.place is not None:
            found = [self.find(wanted.place)[0]]
        else:
            found = self.letters(class_name=wanted.class_name)
            if wanted.class_name is not None and not found:
                raise UsageError(f"No dead letter is of the class {wanted.class_name}; see --by-reason of `list`.")
        since = wanted.since
        found = [letter for letter in found if since is None or letter.failed_at >= since]
        done = sum(letter.status == "redriven" for letter in found)
        if wanted.place is None and not wanted.again:
            found = [letter for letter in found if letter.status != "redriven"]
        going = [letter for letter in found if letter.origin is not None and letter.origin.topic in self._targets]
        if len(going) > MOST:
            raise UsageError(f"{len(going):,} letters are more than {MOST:,} at once; narrow it by --class or --since.")
        return Preview(
            tuple(going), dict(Counter(letter.class_name for letter in going)),
            dict(Counter(letter.origin.topic for letter in going if letter.origin is not None)),
            min((letter.failed_at for letter in going), default=None),
            max((letter.failed_at for letter in going), default=None),
            sum(letter.earlier is not None for letter in going), done, len(found) - len(going),
            wanted.is_all or len(going) > MANY,
        )  # fmt: skip

    def ask(self, wanted: Wanted, preview: Preview, who: Actor, reason: str) -> Request:
        """Puts on record that the letters of ``preview``, and no others, are to be put back.

        Raises InputError without a reason or where there is nothing.
        """
        if not preview.letters:
            raise InputError("there is nothing to put back")
        details = [("count", str(preview.count)), ("came back", str(preview.came_back))]
        details += [(f"to {topic}"[:60], str(count)) for topic, count in preview.to.items()]
        details += [("letters", text) for text in format_spots((each.spot for each in preview.letters), _MAX_DETAIL)]
        target = wanted.place or wanted.class_name or "*"
        return self._acts.ask(REDRIVE, who, target, reason, details=details, needs_second=preview.needs_second)

    def redrive(self, request: Request, who: Actor) -> int:
        """Puts the letters of a request back, in the order in which they stand; returns how many, once they are safe.

        Doing it again, for instance after a kill, writes the same records with the same ids. Raises InputError if the
        request is another kind of act or lacks its approval.
        """
        if request.asked.kind != REDRIVE:
            raise InputError(f"{request.asked.request_id} is a request of {request.asked.kind}, not of {REDRIVE}")
        spots, count = spots_of(request), 0
        with self._acts.carrying_out(request, who) as outcome:
            for batch in _batches(self._back(spots, request.asked.request_id)):
                self._publisher.publish(batch)
                count += len(batch)
            missing = len(spots) - count
            outcome.append(f"{count} put back" + (f", {missing} no longer on their topic" if missing else ""))
        return count

    def _record(self, spot: Spot) -> Record | None:
        if self._shelf is not None:
            return self._shelf.record(spot)
        records = read_topics(self._bootstrap, [spot.topic], spot.partition)
        return next((record for record in records if record.offset == spot.offset), None)

    def _back(self, spots: Collection[Spot], request_id: str) -> Iterator[Output]:
        topics = sorted({spot.topic for spot in spots if spot.topic in self._topics})
        for record in read_topics(self._bootstrap, topics) if topics else ():
            if Spot(record.topic, record.partition, record.offset) in spots:
                output = redriven(record, request_id)
                if output is not None and output.topic in self._targets:
                    yield output


def _spot(place: str) -> Spot:
    try:
        return parse_spot(place)
    except InputError as error:
        raise UsageError(f"{error}, as `hub dead-letters list` prints it.") from error


def _batches(outputs: Iterator[Output]) -> Iterator[Sequence[Output]]:
    batch: list[Output] = []
    for output in outputs:
        batch.append(output)
        if len(batch) == _BATCH:
            yield batch
            batch = []
    if batch:
        yield batch
