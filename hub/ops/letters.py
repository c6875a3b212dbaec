"""Dead letters as values: what each says of itself, which class it is of, and what became of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal, NamedTuple

from hub.bus.dead_letters import OWN_PREFIX, PREFIX, earlier_letter, last_header, origin_of
from hub.bus.records import Record
from hub.domain.acts import Request
from hub.domain.characters import mask_personal
from hub.domain.letter_classes import class_name, normalise_message
from hub.domain.offset_ranges import Spot, parse_spots

#: The end of the names of topics that hold dead letters.
ENDING = ".dead-letters.v1"
REDRIVE = "dead-letter.redrive"
#: ``open``: nobody put it back. ``begun``: somebody set about it and it is not on record that it was done.
Status = Literal["open", "begun", "redriven"]


class Letter(NamedTuple):
    """One dead letter without its content. ``message`` holds no personal numbers; ``failed_at`` is aware UTC.

    ``earlier`` is the letter that it was before it was put back and failed again.
    """

    spot: Spot
    class_name: str
    stage: str
    exception: str
    message: str
    normalised: str
    rule_version: str
    origin: Spot | None
    event_id: str
    event_type: str
    failed_at: datetime
    size: int
    earlier: str | None
    status: Status = "open"
    request_id: str | None = None


@dataclass(frozen=True, slots=True)
class Group:
    """Letters of one class; times are aware UTC. ``came_back`` were put back before and failed again."""

    class_name: str
    stage: str
    exception: str
    message: str
    rule_version: str
    count: int
    open: int
    came_back: int
    oldest: datetime
    newest: datetime


def read_letters(records: Iterable[Record], requests: Iterable[Request]) -> list[Letter]:
    """Letters, the oldest first, marked with what acts on record did to them."""
    return marked(map(read_letter, records), requests)


def marked(letters: Iterable[Letter], requests: Iterable[Request]) -> list[Letter]:
    """The same of letters that were read before."""
    marks = marks_of(requests)
    found = [_marked(letter, marks) for letter in letters] if marks else list(letters)
    return sorted(found, key=lambda letter: (letter.failed_at, letter.spot))


def marks_of(requests: Iterable[Request]) -> Mapping[Spot, tuple[Status, str]]:
    """What was put back, by the acts that did it: their status and request. What is done stays done."""
    marks: dict[Spot, tuple[Status, str]] = {}
    for request in requests:
        asked = request.asked
        is_begun = request.state in ("done", "failed") or (request.state == "asked" and not asked.needs_second)
        if asked.kind != REDRIVE or not is_begun:
            continue
        status: Status = "redriven" if request.state == "done" else "begun"
        for spot in spots_of(request):
            if marks.get(spot, ("begun", ""))[0] != "redriven":
                marks[spot] = (status, asked.request_id)
    return marks


def spots_of(request: Request) -> set[Spot]:
    """The letters that a request is about. Raises InputError if it does not say."""
    return parse_spots(value for name, value in request.asked.details if name == "letters")


def groups_of(letters: Iterable[Letter]) -> list[Group]:
    """Letters by class, the class with most that are open first."""
    by_class: dict[str, list[Letter]] = {}
    for letter in letters:
        by_class.setdefault(letter.class_name, []).append(letter)
    groups = [
        Group(
            name, each[0].stage, each[0].exception, each[0].normalised, each[0].rule_version, len(each),
            sum(letter.status != "redriven" for letter in each), sum(letter.earlier is not None for letter in each),
            min(letter.failed_at for letter in each), max(letter.failed_at for letter in each),
        )
        for name, each in by_class.items()
    ]  # fmt: skip
    return sorted(groups, key=lambda group: (-group.open, group.class_name))


def read_letter(record: Record) -> Letter:
    """A letter by what stands in its headers; nobody put it back yet, as far as it knows."""
    def text(name: str) -> str:
        return (last_header(record.headers, name) or b"").decode("utf-8", "replace")

    stage = record.topic.removesuffix(ENDING)
    exception, message, version = (
        text(PREFIX + "exception"), text(PREFIX + "message"), text(OWN_PREFIX + "rule-version")
    )  # fmt: skip
    origin = origin_of(record)
    return Letter(
        Spot(record.topic, record.partition, record.offset), class_name(stage, exception, message, version), stage,
        exception, mask_personal(message), normalise_message(message), version, Spot(*origin) if origin else None,
        text("ce_id"), text("ce_type"), _failed_at(text(OWN_PREFIX + "first-failed-at"), record.timestamp),
        len(record.value or b""), earlier_letter(record),
    )  # fmt: skip


def _failed_at(text: str, timestamp: int) -> datetime:
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        found = datetime.fromtimestamp(timestamp / 1000, UTC)
    return found.astimezone(UTC) if found.tzinfo else found.replace(tzinfo=UTC)


def _marked(letter: Letter, marks: Mapping[Spot, tuple[Status, str]]) -> Letter:
    found = marks.get(letter.spot)
    return letter if found is None else letter._replace(status=found[0], request_id=found[1])
