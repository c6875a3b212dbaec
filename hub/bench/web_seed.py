"""What a web side in use has before it: people who are signed in, a program's key, acts on record, dead letters."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import redis

from hub.access.accounts import AccountsLog, new_account
from hub.access.keys import ApiKeysLog, new_key
from hub.access.sessions import Sessions
from hub.bench.ledger_traffic import FINANCE, HEZUO, PARTITIONS, SUBSCRIPTION, Traffic
from hub.bus.dead_letters import to_dead_letter
from hub.bus.publisher import KafkaPublisher, Ticket
from hub.bus.reader import read_topics
from hub.bus.records import Output, Record
from hub.contracts.catalog import Catalog
from hub.contracts.cloudevents import from_headers
from hub.contracts.map import HubMap
from hub.domain.acts import Actor
from hub.domain.events import output_id
from hub.domain.murmur2 import partition_of
from hub.domain.rights import KEY_SCOPES, WIDE_SCOPES, Role
from hub.errors import PoisonError
from hub.ops.acts import ActsDesk
from hub.ops.holdings import HOLDINGS
from hub.ops.letters import ENDING, Letter, read_letters

#: Who walks: name, code of the department, role. The operators' department does not count.
PEOPLE: tuple[tuple[str, str, Role], ...] = (
    ("bench-hezuo", HEZUO, "clerk"), ("bench-finance", FINANCE, "leader"),
    ("bench-operator", HEZUO, "operator"), ("bench-auditor", HEZUO, "auditor"),
)
_CAUSES = (
    "the party has neither a code nor a name", "no such region: 623999", "a date before 1949",
    "an amount below zero", "the schema of the record is not known",
)
#: One act in so many waits for a second person.
_SECONDED = 20
_WAITING = 1000


class Seeds:
    """Writes them onto one broker and one index, whose topics are there. Raises BrokerError."""

    def __init__(self, bootstrap: str, client: redis.Redis, hub_map: HubMap, catalog: Catalog) -> None:
        self._bootstrap, self._client, self._map, self._catalog = bootstrap, client, hub_map, catalog

    def sessions(self, each: int) -> dict[str, list[str]]:
        """Name of a person -> so many ids of sessions: nobody has to be asked for a password 50 times."""
        ids = {str(entry["code"]): id for id, entry in self._map.departments.items()}
        log, sessions, now = AccountsLog(self._catalog), Sessions(self._client), datetime.now(UTC)
        accounts = [
            replace(
                new_account(name, "示例", ids[code], [role]), revision=1, must_change_password=False,
                changed_by="bench", reason="bench", changed_at=now.replace(microsecond=0),
            )
            for name, code, role in PEOPLE
        ]
        self._publish([log.entry(account) for account in accounts])
        return {
            account.name: [sessions.begin(account, "127.0.0.1", "bench", now) for _ in range(each)]
            for account in accounts
        }

    def key(self) -> str:
        """A key of the department whose notices the traffic holds, good for all that keys of a department may."""
        department = self._map.subscriptions[SUBSCRIPTION].department
        key, text = new_key("bench", department, sorted(KEY_SCOPES.keys() - WIDE_SCOPES), 1, datetime.now(UTC))
        made = replace(key, revision=1, changed_by="bench", reason="bench", changed_at=key.created_at)
        self._publish([ApiKeysLog(self._catalog).entry(made)])
        return text

    def acts(self, count: int) -> list[str]:
        """So many acts of a year; the ids of those that needed a second person."""
        seconded = []
        with closing(KafkaPublisher(self._bootstrap, client_id="bench-acts")) as publisher:
            moment = [datetime.now(UTC) - timedelta(days=365)]
            desk, step = ActsDesk("", _Queued(publisher), self._catalog, lambda: moment[0]), timedelta(days=365) / count
            for number in range(count):
                moment[0] += step
                who = Actor(f"bench-{number % 7}", "console", "market-supervision", "operator")
                if number % _SECONDED:
                    desk.look("record.look", who, f"bench:{number}", "查找原因")
                else:
                    asked = desk.ask("notices.replay", who, SUBSCRIPTION, "对方系统恢复", needs_second=True)
                    seconded.append(asked.asked.request_id)
        return seconded

    def holdings(self, listings: Iterable[int], traffic: Traffic) -> None:
        """That each of these events, listings of the traffic, was sent to the subscription of its notice."""
        schema = self._catalog.schema("hub/holding")
        with closing(KafkaPublisher(self._bootstrap, client_id="bench-holdings")) as publisher:
            queued = _Queued(publisher)
            for number in listings:
                event = next(iter(traffic.of_event(number)))
                envelope = from_headers(event.headers)
                notice = output_id(envelope.id, f"subscription:{SUBSCRIPTION}")
                value = schema.encode({
                    "topic": event.topic, "correlation_id": envelope.correlation_id, "subject": envelope.subject,
                    "event_type": envelope.type, "sequence": 1, "routed": [1], "changed_at": envelope.time,
                    "holders": [{
                        "subscription": SUBSCRIPTION, "view": "partner", "action": "apply", "notice_id": notice,
                        "sequence": 1, "since": envelope.time,
                    }],
                })
                key = f"{event.topic}:{envelope.correlation_id}".encode()
                place = partition_of((envelope.subject or "").encode(), PARTITIONS)
                queued.publish([Output(HOLDINGS, key, value, event.headers, place)])

    def letters(self, count: int, traffic: Traffic) -> list[Letter]:
        """So many dead letters of all stages, of five causes; those of one stage."""
        topics = sorted(name for name in self._map.topics if name.endswith(ENDING))
        with closing(KafkaPublisher(self._bootstrap, client_id="bench-letters")) as publisher:
            queued = _Queued(publisher)
            for number, event in zip(range(count), self._events(traffic), strict=False):
                stage = topics[number % len(topics)].removesuffix(ENDING)
                record = Record(event.topic, 0, number, 0, event.key, event.value, event.headers)
                failed_at = datetime.now(UTC) - timedelta(minutes=number)
                error = PoisonError(_CAUSES[number % len(_CAUSES)])
                queued.publish([to_dead_letter(record, stage, error, attempts=1, first_failed_at=failed_at)])
        return read_letters(read_topics(self._bootstrap, topics[:1]), ())

    def _events(self, traffic: Traffic) -> Iterator[Output]:
        number = 0
        while True:
            yield next(iter(traffic.of_event(number)))
            number += 1

    def _publish(self, outputs: Sequence[Output]) -> None:
        with closing(KafkaPublisher(self._bootstrap, client_id="bench-seeds")) as publisher:
            publisher.publish(outputs)


class _Queued:
    """A publisher that waits for a thousand at a time: a desk would wait for each."""

    def __init__(self, publisher: KafkaPublisher) -> None:
        self._publisher, self._tickets = publisher, list[Ticket]()

    def publish(self, outputs: Sequence[Output]) -> None:
        self._tickets.append(self.publish_async(outputs))
        if len(self._tickets) >= _WAITING:
            for ticket in self._tickets:
                ticket.wait()
            self._tickets.clear()

    def publish_async(self, outputs: Sequence[Output]) -> Ticket:
        return self._publisher.publish_async(outputs)

    def close(self) -> None:
        self._publisher.close()
