"""Connects what direct Kafka is made of on the hub's side: receipts, the index of notices, answers, pauses."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

from hub.bus.lane import Lane
from hub.bus.publisher import KafkaPublisher
from hub.bus.stage import Stage
from hub.contracts.catalog import Catalog
from hub.contracts.map import HubMap
from hub.delivery.direct import SHARING_GROUP, DirectReceipts
from hub.delivery.direct_answers import AnswersStage, IndexProgress, IndexStage
from hub.delivery.rights import PauseKeeper
from hub.delivery.service import Means
from hub.delivery.service import group_of as position_group_of
from hub.delivery.settings import SubscriptionSettings
from hub.delivery.settings_desk import AnswerKeys, SettingsTable
from hub.domain.direct import answers_of, inbox_of
from hub.settings import Settings
from hub.state.notice_index import NoticeIndex
from hub.wiring.parts import Service, open_redis, utc_now

#: Who puts the notices of direct subscriptions into the index, and who reads their answers.
INDEX_GROUP, ANSWERS_GROUP = "hub-direct-index", "hub-direct-answers"


def direct_groups(hub_map: HubMap) -> dict[str, tuple[str, ...]]:
    """Consumer group -> topics that it reads, of all that direct Kafka takes."""
    names = hub_map.delivered_by("kafka")
    if not names:
        return {}
    return {
        **{position_group_of(name): (inbox_of(name),) for name in names},
        INDEX_GROUP: tuple(map(inbox_of, names)),
        ANSWERS_GROUP: tuple(map(answers_of, names)),
    }


def served_by(hub_map: HubMap) -> dict[str, str]:
    """Group that holds a position -> group whose members move it: who writes receipts shares the inboxes out there."""
    return {position_group_of(name): SHARING_GROUP for name in hub_map.delivered_by("kafka")}


class Direct(NamedTuple):
    """The services, and whom to tell of settings that changed."""

    services: Mapping[str, Service]
    use: Callable[[SubscriptionSettings], None]


def build_direct(
    settings: Settings, hub_map: HubMap, catalog: Catalog, means: Means, table: SettingsTable
) -> Direct:
    """Direct Kafka as services, none where no subscription asks for it. ``table`` is asked for the keys of answers."""
    names = hub_map.delivered_by("kafka")
    if not names:
        return Direct({}, lambda changed: None)
    pauses = PauseKeeper(settings.bootstrap, names)
    keys = AnswerKeys(table, means.vault, utc_now)
    index = NoticeIndex(open_redis(settings))

    def is_signing_required(name: str) -> bool:
        found = table.get(name)
        return bool(found is not None and found.receiver_keys)

    answers = AnswersStage(
        {answers_of(name): name for name in names}, catalog, index, keys, is_signing_required,
        IndexProgress(settings.bootstrap, INDEX_GROUP, lambda topic: hub_map.topics[topic].partitions),
    )
    groups = direct_groups(hub_map)

    def lane(stage: Stage, group: str) -> Lane:
        return Lane(
            stage, name=group.removeprefix("hub-"), topics=groups[group], group=group, bootstrap=settings.bootstrap,
            dead_letters="delivery", rule_version=hub_map.version, shutdown_seconds=settings.shutdown_seconds,
            # A batch is checked one by one against the index; a small one is committed soon.
            max_batch=500, backoff_seconds=(0.2, 5.0),
        )

    receipts = DirectReceipts(
        settings.bootstrap, names, catalog, KafkaPublisher(settings.bootstrap, client_id="direct"), utc_now,
        position_group=position_group_of, pauses=pauses, rule_version=hub_map.version,
    )
    services: dict[str, Service] = {
        "direct-receipts": receipts,
        INDEX_GROUP: lane(IndexStage(catalog, means.index), INDEX_GROUP),
        ANSWERS_GROUP: lane(answers, ANSWERS_GROUP),
    }
    return Direct(services, pauses.use)
