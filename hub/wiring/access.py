"""What stands on the cluster because the map says so: topics, rights, users; and how departments come in by Kafka."""

from __future__ import annotations

from collections.abc import Collection
from contextlib import closing
from typing import Any

from kafka.admin import KafkaAdminClient

from hub.bus.access import AccessChange, Right, apply_access, plan_access, read_users, set_password
from hub.bus.lag import read_lag
from hub.bus.publisher import KafkaPublisher
from hub.bus.topics import Change, admin, apply, plan
from hub.contracts.map import HubMap
from hub.delivery.rights import rights_of
from hub.delivery.service import group_of as position_group_of
from hub.domain.direct import answers_of, group_of, inbox_of, problems_of, user_of
from hub.settings import Settings
from hub.wiring.delivery import settings_desk
from hub.wiring.parts import open_catalog
from hub.wiring.topics import topic_specs


def access_rights(hub_map: HubMap, paused: Collection[str]) -> list[Right]:
    """The rights of all departments that come by Kafka."""
    return [right for name in hub_map.delivered_by("kafka") for right in rights_of(name, is_paused=name in paused)]


def plan_cluster(settings: Settings, hub_map: HubMap) -> tuple[list[Change], list[AccessChange]]:
    """What `apply_cluster` would change, and what the cluster has beyond the map."""
    rights, users = _wanted(settings, hub_map)
    with admin(settings.bootstrap) as client:
        return plan(client, topic_specs(settings, hub_map)), plan_access(client, rights, users)


def apply_cluster(
    settings: Settings, hub_map: HubMap, allowed: Collection[str] = (), revoked: Collection[str] = ()
) -> tuple[list[Change], list[AccessChange]]:
    """Makes topics and rights as the map says; returns what was changed. Raises UnsafeChangeError."""
    rights, users = _wanted(settings, hub_map)
    with admin(settings.bootstrap) as client:
        changes = apply(client, topic_specs(settings, hub_map), allowed)
        return changes, apply_access(client, rights, users, revoked)


def _wanted(settings: Settings, hub_map: HubMap) -> tuple[list[Right], list[str]]:
    names = hub_map.delivered_by("kafka")
    if not names:
        return [], []
    with closing(KafkaPublisher(settings.bootstrap, client_id="hub-access")) as publisher:
        known = settings_desk(settings, open_catalog(settings), publisher).read()
    paused = {name for name, found in known.items() if found.is_paused}
    return access_rights(hub_map, paused), [user_of(name) for name in names]


def change_password(settings: Settings, subscription: str, password: str) -> None:
    """Gives the department's user a password on the cluster. Raises BrokerError."""
    with admin(settings.bootstrap) as client:
        set_password(client, user_of(subscription), password)


def direct_state(settings: Settings, subscriptions: Collection[str]) -> dict[str, dict[str, Any]]:
    """How departments come in and how far they are, by subscription. Raises BrokerError."""
    if not subscriptions:
        return {}
    with admin(settings.bootstrap) as client:
        users = read_users(client)
        return {name: _state(client, settings, name, users) for name in subscriptions}


def _state(client: KafkaAdminClient, settings: Settings, name: str, users: Collection[str]) -> dict[str, Any]:
    inbox = inbox_of(name)
    groups = group_of(name), position_group_of(name)
    lag = read_lag(client, dict.fromkeys(groups, (inbox,)))
    theirs, ours = ([entry for entry in lag if entry.group == group] for group in groups)
    return {
        "bootstrap": settings.departments_bootstrap,
        "user": user_of(name),
        "group": group_of(name),
        "topic": inbox,
        "answers": answers_of(name),
        "problems": problems_of(name),
        "has_password": user_of(name) in users,
        # Records: what the department has still to acknowledge, and what no receipt speaks of yet.
        "unacknowledged": sum(entry.lag for entry in theirs),
        "without_receipt": sum(entry.lag for entry in ours),
        "position": {
            str(entry.partition): {"acknowledged": entry.committed, "end": entry.end} for entry in theirs
        },
    }
