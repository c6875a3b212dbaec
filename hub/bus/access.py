"""Who may do what on the cluster: the rights that the map gives, those that the cluster has, and the difference.

``plan_access`` only looks. ``apply_access`` grants what is missing; it takes nothing away by omission: rights that the
map does not give are named, and go when their user is named.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from kafka.admin import (
    ACL,
    ACLFilter,
    ACLOperation,
    ACLPermissionType,
    ACLResourcePatternType,
    KafkaAdminClient,
    ResourcePattern,
    ResourcePatternFilter,
    ResourceType,
    ScramMechanism,
    UserScramCredentialDeletion,
    UserScramCredentialUpsertion,
)
from kafka.errors import SecurityDisabledError

from hub.bus.settling import settled
from hub.domain.direct import USER_PREFIX
from hub.errors import BrokerError, HubError

#: What a guess at a stolen verifier costs; the passwords are 256 random bits, so this is Kafka's own number.
_ITERATIONS = 8192
#: So long a broker may take to hear of rights that the controller has written.
_SETTLE_SECONDS = 10.0


class NoAuthorizerError(HubError):
    """The cluster asks nobody for rights: departments must not be let in.

    Its brokers need ``authorizer.class.name``; docs/operating.md says with what.
    """


class Right(NamedTuple):
    """One ACL. ``kind`` and the rest are Kafka's words; ``is_prefix``: of every name that begins so."""

    user: str
    operation: str
    kind: str
    name: str
    is_prefix: bool = False
    permission: str = "ALLOW"
    host: str = "*"

    def __str__(self) -> str:
        where = "" if self.host == "*" else f" from {self.host}"
        word = "" if self.permission == "ALLOW" else "not "
        return f"may {word}{self.operation} {self.kind.lower()} {self.name}{'*' if self.is_prefix else ''}{where}"


@dataclass(frozen=True)
class AccessChange:
    """One difference: a right to ``grant``, one that the map does not give, or a password of nobody in the map."""

    user: str
    kind: Literal["grant", "extra-right", "extra-user"]
    detail: str
    right: Right | None = None

    @property
    def is_extra(self) -> bool:
        return self.kind != "grant"

    def __str__(self) -> str:
        if not self.is_extra:
            return f"+ {self.user}: {self.detail}"
        return f"? {self.user}: {self.detail}, which the map does not say; `--revoke {self.user}` ends it"


def plan_access(client: KafkaAdminClient, wanted: Sequence[Right], users: Collection[str]) -> list[AccessChange]:
    """Every difference between ``wanted`` and the cluster, in this order: what is missing, what is too much.

    ``users`` are those who may have a password. Rights and passwords of users that are none of the departments' are
    others' business. Raises NoAuthorizerError if rights are wanted where nobody is judged.
    """
    live = read_rights(client)
    if live is None:
        if wanted:
            raise NoAuthorizerError
        return []
    changes = [AccessChange(right.user, "grant", str(right), right) for right in wanted if right not in live]
    extra = sorted(right for right in live - set(wanted) if _is_ours(right.user))
    changes += [AccessChange(right.user, "extra-right", str(right), right) for right in extra]
    unknown = sorted(user for user in read_users(client) - set(users) if _is_ours(user))
    return changes + [AccessChange(user, "extra-user", "has a password") for user in unknown]


def _is_ours(user: str) -> bool:
    """Whether the map has a say in what ``user`` may do; a right of everybody (``*``) is one of each department."""
    return user == "*" or user.startswith(USER_PREFIX)


def apply_access(
    client: KafkaAdminClient, wanted: Sequence[Right], users: Collection[str], revoked: Collection[str] = ()
) -> list[AccessChange]:
    """Grants what is missing, and takes from the users in ``revoked`` what the map does not give them.

    Returns what was changed, when every broker that is asked says so. Raises BrokerError, NoAuthorizerError.
    """
    changes = [
        change for change in plan_access(client, wanted, users) if not change.is_extra or change.user in revoked
    ]
    take_away(client, [each.right for each in changes if each.right is not None and each.is_extra])
    grant(client, [each.right for each in changes if each.right is not None and not each.is_extra])
    if gone := [change.user for change in changes if change.kind == "extra-user"]:
        _said(client.alter_user_scram_credentials(
            [UserScramCredentialDeletion(user, ScramMechanism.SCRAM_SHA_512) for user in gone]
        ))
    if changes:
        _settle(client, changes)
    return changes


def read_rights(client: KafkaAdminClient) -> set[Right] | None:
    """All rights on the cluster; ``None`` where it judges nobody."""
    anything = ResourcePatternFilter(ResourceType.ANY, None, ACLResourcePatternType.ANY)
    try:
        found, _ = client.describe_acls(
            ACLFilter(None, None, ACLOperation.ANY, ACLPermissionType.ANY, anything)
        )
    except SecurityDisabledError:
        return None
    return {_right_of(acl) for acl in found}


def grant(client: KafkaAdminClient, rights: Sequence[Right]) -> None:
    """Grants rights; one that is there stays. Raises BrokerError."""
    if not rights:
        return
    refused = client.create_acls([_acl_of(right) for right in rights])["failed"]
    if refused:
        raise BrokerError(f"rights were refused: {', '.join(sorted({error.__name__ for error in refused}))}")


def take_away(client: KafkaAdminClient, rights: Sequence[Right]) -> None:
    """Takes rights away; one that is not there stays away. Raises BrokerError."""
    if not rights:
        return
    for _, _, error in client.delete_acls([_acl_of(right) for right in rights]):
        if error.errno:
            raise BrokerError(f"rights were not taken away: {error.__name__}")


def read_users(client: KafkaAdminClient) -> set[str]:
    """The users that have a password (SCRAM) on the cluster."""
    found: Mapping[str, Any] = client.describe_user_scram_credentials()
    return {user for user, entry in found.items() if entry["credential_infos"]}


def set_password(client: KafkaAdminClient, user: str, password: str) -> None:
    """Gives ``user`` a password; the one before ends. What is sent is its verifier. Raises BrokerError."""
    _said(client.alter_user_scram_credentials(
        [UserScramCredentialUpsertion(user, ScramMechanism.SCRAM_SHA_512, password, iterations=_ITERATIONS)]
    ))


def _said(answers: Mapping[str, str | None]) -> None:
    if refused := {user: said for user, said in answers.items() if said is not None}:
        raise BrokerError("; ".join(f"{user}: {said}" for user, said in refused.items()))


def _settle(client: KafkaAdminClient, changes: Sequence[AccessChange]) -> None:
    """Waits until a broker that is asked knows them."""
    granted = {change.right for change in changes if change.right is not None and not change.is_extra}
    gone = {change.right for change in changes if change.right is not None and change.is_extra}

    def left() -> set[Right]:
        live = read_rights(client) or set()
        return granted - live | gone & live

    settled(left, _SETTLE_SECONDS)


def _right_of(acl: Any) -> Right:
    pattern = acl.resource_pattern
    return Right(
        acl.principal.removeprefix("User:"), acl.operation.name, pattern.resource_type.name, pattern.resource_name,
        pattern.pattern_type == ACLResourcePatternType.PREFIXED, acl.permission_type.name, acl.host,
    )


def _acl_of(right: Right) -> ACL:
    kind = ACLResourcePatternType.PREFIXED if right.is_prefix else ACLResourcePatternType.LITERAL
    return ACL(
        f"User:{right.user}", right.host, ACLOperation[right.operation], ACLPermissionType[right.permission],
        ResourcePattern(ResourceType[right.kind], right.name, kind),
    )
