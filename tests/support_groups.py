"""Consumer groups of tests whose members are killed."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import closing
from typing import Any

from kafka import KafkaAdminClient
from kafka.admin import MemberToRemove
from kafka.errors import CoordinatorNotAvailableError


def members_of(bootstrap: str, groups: Iterable[str]) -> dict[str, list[dict[str, Any]]]:
    """Group -> its members, as the broker describes them."""
    with closing(KafkaAdminClient(bootstrap_servers=bootstrap)) as admin:
        return {group: _members(admin, group) for group in groups}


def _members(admin: KafkaAdminClient, group: str) -> list[dict[str, Any]]:
    try:
        members: list[dict[str, Any]] = admin.describe_groups([group])[group]["members"]
    except CoordinatorNotAvailableError:  # nobody has ever joined a group on this broker
        return []
    return members


def remove_members(bootstrap: str, groups: Iterable[str]) -> None:
    """A group waits ten seconds for a member that was killed; a test of many kills takes it out by hand."""
    with closing(KafkaAdminClient(bootstrap_servers=bootstrap)) as admin:
        for group in groups:
            leaving = [MemberToRemove(member_id=member["member_id"]) for member in _members(admin, group)]
            if leaving:
                admin.remove_group_members(group, leaving)


def delete_groups(bootstrap: str, groups: Iterable[str]) -> None:
    """Takes groups away whose members, killed or not, are gone by now."""
    groups = list(groups)
    remove_members(bootstrap, groups)
    with closing(KafkaAdminClient(bootstrap_servers=bootstrap)) as admin:
        admin.delete_groups(groups)
