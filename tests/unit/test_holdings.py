"""Who holds what is out of date: the fold over holdings, inboxes, receipts and answers."""

from __future__ import annotations

import random
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest

from hub.bus.records import Output, Record
from hub.contracts.cloudevents import from_headers
from hub.delivery.message import read_inbox
from hub.delivery.receipts import Outcome, ReceiptWriter, Tried
from hub.delivery.replays import to_replay
from hub.ops.holdings import Held, fold, holders_of, inboxes_of
from hub.routing.holdings import HOLDINGS, HoldingCodec
from tests.support_contracts import catalog
from tests.support_routing import NOW, SUBJECT, Log, version

PROCUREMENT, BIDDING = "government-procurement", "works-bidding"


class Story:
    """One listing, routed and delivered step by step; what Kafka would hold of it."""

    def __init__(self) -> None:
        self.log, self.records = Log(), list[Record]()

    def route(self, number: int, word: str, kind: str = "serious") -> None:
        (outputs,) = self.log.stage().handle([version(number, word, list_kind=kind)])
        self.log.write(outputs)
        self._keep(outputs)

    def _keep(self, outputs: Sequence[Output]) -> None:
        for each in outputs:
            place = len(self.records)
            self.records.append(Record(each.topic, 3, place, 0, each.key, each.value, each.headers))

    def notice(self, number: int, subscription: str) -> tuple[Record, dict[str, Any]]:
        for record in self.records:
            if record.topic == f"inbox.{subscription}":
                notice = read_inbox(record, catalog())
                if notice["sequence"] == number:
                    return record, notice
        raise AssertionError((number, subscription))

    def end(self, number: int, subscription: str, outcome: Outcome = "delivered") -> None:
        record, notice = self.notice(number, subscription)
        writer, at = ReceiptWriter(catalog(), subscription, "webhook"), NOW + timedelta(minutes=number)
        self._keep([writer.write(record, notice, from_headers(record.headers), outcome, Tried(1, at, 200), at)])

    def answer(self, number: int, subscription: str) -> None:
        _, notice = self.notice(number, subscription)
        value = catalog().schema("hub/discipline-feedback").encode({
            **{name: notice[name] for name in ("notice_id", "event_id", "correlation_id", "subject", "subscription")},
            "feedback_id": "f", "department_code": notice["department_code"], "status": "acted", "way": "http",
            "received_at": NOW,
        })
        self._keep([Output("discipline.feedback.v1", None, value, [])])

    def held(self, known: Sequence[str] = (PROCUREMENT, BIDDING)) -> dict[str, Held]:
        found = fold(self.records, catalog(), known)
        # Topics are read in no order.
        random.Random(1).shuffle(rest := [each for each in self.records if each.topic != HOLDINGS])
        assert fold([*rest, *(each for each in self.records if each.topic == HOLDINGS)], catalog(), known) == found
        return {each.subscription: each for each in found}


def test_from_the_listing_to_the_answer_to_its_lift() -> None:
    story = Story()
    story.route(1, "listed")
    one = story.held()[BIDDING]
    assert (one.delivered, one.stale, one.is_lifted) == (None, None, False)
    assert one.on_the_way is not None and one.on_the_way.status == "waiting"
    story.end(1, BIDDING)
    one = story.held()[BIDDING]
    assert one.delivered is not None and (one.delivered.action, one.delivered.sequence) == ("apply", 1)
    assert (one.on_the_way, one.stale, one.subject) == (None, None, SUBJECT)
    story.route(2, "removed")
    one = story.held()[BIDDING]
    assert one.stale == "version 2 (lift) is waiting"
    # Who was never handed over the listing holds nothing stale.
    assert story.held()[PROCUREMENT].stale is None
    story.end(2, BIDDING, "parked")
    one = story.held()[BIDDING]
    assert one.stale == "version 2 (lift) is parked"
    assert one.on_the_way is not None and one.on_the_way.status == "parked"
    story.end(2, BIDDING)
    one = story.held()[BIDDING]
    assert (one.is_lifted, one.stale, one.answer, one.on_the_way) == (True, None, None, None)
    story.answer(2, BIDDING)
    assert story.held()[BIDDING].answer == "acted"


@pytest.mark.parametrize("outcome", ["dropped", "expired"])
def test_a_recall_that_was_given_up_leaves_what_it_takes_back_stale(outcome: Outcome) -> None:
    story = Story()
    story.route(1, "listed")
    story.end(1, BIDDING)
    story.route(2, "amended")
    story.end(2, BIDDING, outcome)
    assert story.held()[BIDDING].stale == f"version 2 (amend) is {outcome}"
    assert story.held()[BIDDING].on_the_way is None
    # A later version that arrives makes good for it.
    story.route(3, "amended")
    story.end(3, BIDDING)
    assert story.held()[BIDDING].stale is None


def test_a_holder_that_the_map_lost_is_stale_from_the_next_recall_on() -> None:
    story = Story()
    story.route(1, "listed")
    story.end(1, BIDDING)
    assert story.held([PROCUREMENT])[BIDDING].stale is None
    # The map without it: its holding stays as it was, the fact goes on.
    codec = HoldingCodec(catalog())
    (before,) = story.log.holdings()
    left = before._replace(event_type="blacklist.notice.removed", sequence=2, routed=(1, 2))
    story._keep([Output(HOLDINGS, story.log.records[-1][1], codec.encode(left), [])])
    why = story.held([PROCUREMENT])[BIDDING].stale
    assert why == "version 2 (lift) was not sent; the subscription is not in the map"
    assert holders_of([each for each in story.records if each.topic == HOLDINGS], catalog()) == {
        PROCUREMENT: 1, BIDDING: 1,
    }  # fmt: skip
    assert inboxes_of([each for each in story.records if each.topic == HOLDINGS], catalog()) == {
        f"inbox.{PROCUREMENT}", f"inbox.{BIDDING}",
    }  # fmt: skip


def test_what_is_sent_again_changes_nothing_of_who_holds_what() -> None:
    story = Story()
    story.route(1, "listed")
    story.end(1, BIDDING)
    story.route(2, "removed")
    before = story.held()
    record, notice = story.notice(1, BIDDING)
    again = to_replay(record, notice["notice_id"], "request", 0)
    story._keep([again])
    replayed = story.records[-1]
    writer = ReceiptWriter(catalog(), BIDDING, "webhook")
    story._keep([
        writer.write(
            replayed, read_inbox(replayed, catalog()), from_headers(replayed.headers), "delivered",
            Tried(1, NOW, 200), NOW + timedelta(days=1),
        )
    ])  # fmt: skip
    assert story.held() == before and before[BIDDING].stale is not None


def test_a_first_holding_is_the_same_bytes_either_way() -> None:
    log = Log()
    (outputs,) = log.stage().handle([version(1, "listed", list_kind="serious")])
    [value] = [each.value or b"" for each in outputs if each.topic == HOLDINGS]
    codec = HoldingCodec(catalog())
    assert codec.encode(codec.decode(value)) == value
    assert catalog().schema("hub/holding").encode(catalog().decode(value)[1]) == value


def test_where_inboxes_are_read_later_than_holdings_what_was_just_sent_waits() -> None:
    story = Story()
    story.route(1, "listed")
    story.end(1, BIDDING)
    story.route(2, "amended")
    inbox = f"inbox.{BIDDING}"
    behind = [
        each for each in story.records
        if each.topic != inbox or read_inbox(each, catalog())["sequence"] == 1
    ]
    whole = story.held()[BIDDING]
    assert whole.on_the_way is not None and whole.stale == "version 2 (amend) is waiting"

    def held(since: timedelta) -> Held:
        found = fold(behind, catalog(), (PROCUREMENT, BIDDING), changed_since=NOW + since)
        return next(each for each in found if each.subscription == BIDDING)

    assert held(timedelta(0)) == whole
    # What is older and not there is gone from the log.
    assert held(timedelta(milliseconds=1)).on_the_way is None
