"""What a department may do on the cluster, and what not: each refusal is the broker's own."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator
from contextlib import closing
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
from confluent_kafka import Consumer, KafkaException
from confluent_kafka.cimpl import NewTopic
from kafka.admin import ScramMechanism, UserScramCredentialDeletion
from kafka.errors import ClusterAuthorizationFailedError

from hub.bus.access import (
    AccessChange,
    Right,
    apply_access,
    grant,
    plan_access,
    read_rights,
    read_users,
    set_password,
)
from hub.bus.publisher import KafkaPublisher
from hub.bus.records import Output
from hub.bus.topics import admin
from hub.delivery.rights import PauseKeeper, reading_right, rights_of
from hub.delivery.settings import SubscriptionSettings
from hub.domain.direct import answers_of, group_of, inbox_of, new_password, other_groups_of, problems_of, user_of
from hub.errors import BrokerError
from tests.support_clock_load import wait_until
from tests.support_direct import DirectDepartment, departments_of, poll, refusal

if TYPE_CHECKING:
    from tests.conftest import CreateTopics, KafkaLike

NO_TOPIC, NO_GROUP = "TOPIC_AUTHORIZATION_FAILED", "GROUP_AUTHORIZATION_FAILED"


class Two(NamedTuple):
    """Two departments on one cluster; the first one's name is the beginning of the other's."""

    bootstrap: str
    departments: str
    ours: str
    others: str
    password: str
    department: DirectDepartment


@pytest.fixture
def two(kafka: KafkaLike, create_topics: CreateTopics) -> Iterator[Two]:
    address = departments_of(kafka)
    ours = f"works{uuid.uuid4().hex[:8]}"
    others, password = f"{ours}-bidding", new_password()
    for name in (ours, others):
        create_topics(inbox_of(name), answers_of(name), problems_of(name), partitions=2)
    rights, users = [*rights_of(ours), *rights_of(others)], [user_of(ours), user_of(others)]
    with admin(kafka.bootstrap) as client:
        apply_access(client, rights, users)
        set_password(client, user_of(ours), password)
        set_password(client, user_of(others), new_password())
    with closing(KafkaPublisher(kafka.bootstrap, client_id="test")) as publisher:
        publisher.publish([
            Output(inbox_of(name), b"91620000AAAAAAAAAA", f"{name} {number}".encode(), [])
            for name in (ours, others) for number in range(3)
        ])
    yield Two(kafka.bootstrap, address, ours, others, password, DirectDepartment(address, ours, password))
    with admin(kafka.bootstrap) as client:
        apply_access(client, [], [], revoked=users)


def changes(two: Two, wanted: list[Right], users: list[str]) -> list[AccessChange]:
    """Differences that are of these two: the cluster is shared with other tests."""
    with admin(two.bootstrap) as client:
        found = plan_access(client, wanted, users)
    return [each for each in found if each.user in (user_of(two.ours), user_of(two.others))]


def test_a_department_reads_its_inbox_and_commits(two: Two) -> None:
    assert [message.value() for message in two.department.read(3)] == [f"{two.ours} {n}".encode() for n in range(3)]
    assert two.department.read(1, group=f"{other_groups_of(two.ours)}trial", commit=True)[0].value() is not None
    two.department.answer(b"{}")


def test_it_sees_no_other_topic_and_no_cluster(two: Two) -> None:
    client = two.department.admin()  # held: no answer comes once its client is gone
    seen = set(client.list_topics(timeout=15).topics)
    assert seen == {inbox_of(two.ours), answers_of(two.ours), problems_of(two.ours)}
    groups = client.list_consumer_groups(request_timeout=15).result(30)
    assert {each.group_id for each in groups.valid} <= {group_of(two.ours)}


def test_it_reads_no_other_inbox(two: Two) -> None:
    assert refusal(lambda: two.department.read(1, topic=inbox_of(two.others))) == NO_TOPIC
    assert refusal(lambda: two.department.read(1, topic="routing.decisions.v1")) in (NO_TOPIC, "UNKNOWN_TOPIC_OR_PART")


def test_it_writes_to_no_inbox_and_to_no_other_answers(two: Two) -> None:
    for topic in (inbox_of(two.ours), inbox_of(two.others), answers_of(two.others), problems_of(two.ours)):
        assert refusal(lambda topic=topic: two.department.answer(b"{}", topic=topic)) == NO_TOPIC, topic  # type: ignore[misc]


def test_it_uses_no_group_of_others(two: Two) -> None:
    for group in (group_of(two.others), f"{other_groups_of(two.others)}trial", f"hub-delivery-{two.ours}", "any"):
        assert refusal(lambda group=group: two.department.read(1, group=group)) == NO_GROUP, group  # type: ignore[misc]


def test_it_does_not_read_its_own_answers_back(two: Two) -> None:
    assert refusal(lambda: two.department.read(1, topic=answers_of(two.ours))) == NO_TOPIC


def test_it_administers_nothing(two: Two) -> None:
    client = two.department.admin()
    (made,) = client.create_topics([NewTopic(f"made.by-{two.ours}", 1, 1)], operation_timeout=15).values()
    assert refusal(made.result) in (NO_TOPIC, "CLUSTER_AUTHORIZATION_FAILED")
    (gone,) = client.delete_topics([inbox_of(two.ours)], operation_timeout=15).values()
    assert refusal(gone.result) == NO_TOPIC
    with closing(two.department.other_admin()) as other:
        with pytest.raises(ClusterAuthorizationFailedError):
            read_rights(other)
        with pytest.raises(BrokerError):
            set_password(other, user_of(two.others), new_password())
        with pytest.raises(BrokerError):
            grant(other, [Right(user_of(two.ours), "READ", "TOPIC", inbox_of(two.others))])


def test_a_wrong_password_and_no_password_are_refused(two: Two) -> None:
    assert not lists_topics(DirectDepartment(two.departments, two.ours, new_password()))
    assert not lists_topics(DirectDepartment(two.departments, two.ours, two.password, user=user_of(two.others)))
    # Nobody in particular may do all on the hub's own listener; here there is no nobody.
    assert not lists_topics(DirectDepartment(two.departments, two.ours, two.password, user="ANONYMOUS"))
    with closing(Consumer({"bootstrap.servers": two.departments, "group.id": "any", "log_level": 0})) as plain, \
            pytest.raises(KafkaException):
        plain.list_topics(timeout=3)


def lists_topics(department: DirectDepartment) -> bool:
    try:
        department.admin().list_topics(timeout=3)
    except KafkaException:
        return False
    return True


def test_a_new_password_ends_the_one_before(two: Two) -> None:
    assert lists_topics(two.department)
    new = new_password()
    with admin(two.bootstrap) as client:
        set_password(client, user_of(two.ours), new)
    until = time.monotonic() + 10
    while not lists_topics(DirectDepartment(two.departments, two.ours, new)):
        assert time.monotonic() < until
    assert not lists_topics(two.department)


def test_a_plan_that_was_applied_finds_nothing_more(two: Two) -> None:
    wanted, users = [*rights_of(two.ours), *rights_of(two.others)], [user_of(two.ours), user_of(two.others)]
    assert changes(two, wanted, users) == []
    with admin(two.bootstrap) as client:
        assert apply_access(client, wanted, users) == []


def test_rights_that_the_map_lost_are_shown_and_go_only_by_name(two: Two) -> None:
    wanted, users = rights_of(two.ours), [user_of(two.ours)]
    lost = changes(two, wanted, users)
    assert {each.kind for each in lost} == {"extra-right", "extra-user"}
    user = user_of(two.others)
    said = f"? {user}: may READ topic {inbox_of(two.others)}, which the map does not say; `--revoke {user}` ends it"
    assert said in map(str, lost)
    with admin(two.bootstrap) as client:
        assert apply_access(client, wanted, users) == []
        assert set(rights_of(two.others)) <= (read_rights(client) or set())
        made = apply_access(client, wanted, users, revoked=[user])
        assert set(made) == set(lost)
        wait_until(lambda: user not in read_users(client), "the user to be gone on each broker's own view")
    assert changes(two, wanted, users) == []
    assert two.department.read(1)


def test_a_right_beyond_the_map_is_shown(two: Two) -> None:
    wanted, users = [*rights_of(two.ours), *rights_of(two.others)], [user_of(two.ours), user_of(two.others)]
    extra = Right(user_of(two.ours), "WRITE", "TOPIC", "inbox.", is_prefix=True)
    with admin(two.bootstrap) as client:
        apply_access(client, [*wanted, extra], users)
        (found,) = changes(two, wanted, users)
        assert found.right == extra and "may WRITE topic inbox.*" in str(found)
        apply_access(client, wanted, users, revoked=[user_of(two.ours)])
    assert changes(two, wanted, users) == []


def reads_nothing(consumer: Consumer, seconds: float) -> bool:
    """Whether nothing comes in that time, be it in silence or by the broker's word."""
    try:
        return poll(consumer, 1, seconds) == []
    except KafkaException as error:
        return str(error.args[0].name()) == NO_TOPIC


def test_who_is_paused_reads_nothing_until_he_may_again(two: Two) -> None:
    keeper = PauseKeeper(two.bootstrap, [two.ours])
    keeper.enforce()
    with closing(two.department.consumer()) as consumer:
        assert len(poll(consumer, 3)) == 3
        consumer.commit(asynchronous=False)
        keeper.use(SubscriptionSettings(two.ours, is_paused=True))
        keeper.enforce()
        with admin(two.bootstrap) as client:
            assert reading_right(two.ours) not in (read_rights(client) or set())
            # A plan knows of the pause, and does not give the right back.
            wanted = [*rights_of(two.ours, is_paused=True), *rights_of(two.others)]
            assert changes(two, wanted, [user_of(two.ours), user_of(two.others)]) == []
        trial = f"{other_groups_of(two.ours)}trial"
        assert refusal(lambda: two.department.read(1, group=trial)) == NO_TOPIC
        # A fetch that was let in before the pause waits at the broker for half a second: it has to end first.
        assert reads_nothing(consumer, 1.5)
        with closing(KafkaPublisher(two.bootstrap, client_id="test")) as publisher:
            publisher.publish([Output(inbox_of(two.ours), b"91620000AAAAAAAAAA", b"later", [])])
        assert reads_nothing(consumer, 3.0)
        keeper.use(SubscriptionSettings(two.ours))
        keeper.enforce()
        # The same client goes on; its programmer has to do nothing but not to give up.
        until = time.monotonic() + 40
        found: list[Any] = []
        while not found and time.monotonic() < until:
            message = consumer.poll(0.5)
            if message is not None and message.error() is None:
                found.append(message.value())
        assert found == [b"later"]


def test_users_of_others_are_nobodys_business_here(two: Two) -> None:
    with admin(two.bootstrap) as client:
        set_password(client, f"monitor-{two.ours}", new_password())
        try:
            assert not [each for each in plan_access(client, [], []) if each.user.startswith("monitor-")]
        finally:
            client.alter_user_scram_credentials(
                [UserScramCredentialDeletion(f"monitor-{two.ours}", ScramMechanism.SCRAM_SHA_512)]
            )
