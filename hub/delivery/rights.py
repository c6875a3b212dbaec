"""What a department may do on Kafka: no more than its subscription gives, and while it is paused not even read."""

from __future__ import annotations

from collections.abc import Collection

import structlog

from hub.bus.access import Right, grant, read_rights, take_away
from hub.bus.topics import admin
from hub.delivery.settings import SubscriptionSettings
from hub.domain.direct import answers_of, group_of, inbox_of, other_groups_of, problems_of, user_of
from hub.errors import HubError

_log = structlog.get_logger()


def reading_right(subscription: str) -> Right:
    """The right that a pause takes away. DESCRIBE stays, so that a client waits instead of giving up."""
    return Right(user_of(subscription), "READ", "TOPIC", inbox_of(subscription))


def rights_of(subscription: str, *, is_paused: bool = False) -> list[Right]:
    """All that the department of a subscription may do; nothing else is allowed to it.

    It needs no right on the cluster: who may write a topic may do so idempotently. It may make, alter and delete
    nothing, and sees no topic and no group but these.
    """
    user = user_of(subscription)
    inbox, answers, problems = inbox_of(subscription), answers_of(subscription), problems_of(subscription)
    return [
        *([] if is_paused else [reading_right(subscription)]),
        Right(user, "DESCRIBE", "TOPIC", inbox),
        Right(user, "WRITE", "TOPIC", answers),
        Right(user, "DESCRIBE", "TOPIC", answers),
        Right(user, "READ", "TOPIC", problems),
        Right(user, "DESCRIBE", "TOPIC", problems),
        Right(user, "READ", "GROUP", group_of(subscription)),
        Right(user, "READ", "GROUP", other_groups_of(subscription), is_prefix=True),
    ]


class PauseKeeper:
    """Takes the right to read away from who is paused, and gives it back.

    ``use`` may be called from any thread; ``enforce`` from one, often: it asks the cluster only when a pause began or
    ended since it last went through.
    """

    def __init__(self, bootstrap: str, subscriptions: Collection[str]) -> None:
        self._bootstrap = bootstrap
        self._wanted = dict.fromkeys(subscriptions, False)
        self._enforced: dict[str, bool] = {}

    def use(self, settings: SubscriptionSettings) -> None:
        if settings.subscription in self._wanted:
            self._wanted[settings.subscription] = settings.is_paused

    def enforce(self) -> None:
        """Raises BrokerError; then the next call tries again."""
        news = {name: is_paused for name, is_paused in self._wanted.items() if self._enforced.get(name) != is_paused}
        if not news:
            return
        with admin(self._bootstrap) as client:
            live = read_rights(client)
            if live is None:
                raise HubError("the cluster judges nobody (authorizer.class.name): no department is to be let in")
            rights = {name: reading_right(name) for name in news}
            take_away(client, [rights[name] for name, is_paused in news.items() if is_paused and rights[name] in live])
            grant(client, [rights[name] for name, is_paused in news.items() if not is_paused])
        self._enforced |= news
        for name, is_paused in news.items():
            _log.info("direct.reading", subscription=name, is_allowed=not is_paused)
