"""Fixtures of all tests: a Kafka, a Valkey, names and topics.

``HUB_TEST_BACKEND`` says where they come from: ``embedded`` (default), ``containers`` (a container
engine on this machine) or ``external`` (``HUB_BOOTSTRAP`` and ``HUB_REDIS_URL``).
"""

from __future__ import annotations

import contextlib
import importlib
import os
import re
import uuid
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import pytest
import redis
import structlog
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic
from hypothesis import settings

from tests.support_topics import drop_topics, make_topics

if TYPE_CHECKING:
    from tests.support_http_poll import OpenInterface
    from tests.support_sftp import SftpServer

# How long an example takes says how busy the machine is; no test asserts a time.
settings.register_profile("hub", settings.default, deadline=None)
settings.load_profile("hub")

BACKEND = os.environ.get("HUB_TEST_BACKEND", "embedded")


class KafkaLike(Protocol):
    """What a test may know of the Kafka it was given."""

    @property
    def bootstrap(self) -> str: ...


class IndexLike(Protocol):
    """What a test may know of the Redis or Valkey it was given."""

    @property
    def url(self) -> str: ...


class OutsideKafka(NamedTuple):
    bootstrap: str


class OutsideIndex(NamedTuple):
    url: str


class CreateTopics(Protocol):
    """Creates topics and returns once they can be written; deletes them after the test."""

    def __call__(
        self, *names: str, partitions: int = 12, replicas: int = -1, config: Mapping[str, str] | None = None
    ) -> None: ...


def _named(variable: str) -> str:
    value = os.environ.get(variable, "")
    if not value:
        pytest.fail(f"HUB_TEST_BACKEND=external needs {variable}.", pytrace=False)
    return value


@contextlib.contextmanager
def _running(make: Callable[[], Any]) -> Iterator[Any]:
    """The container that ``make`` describes, while it runs; the library is loaded only for this backend."""
    docker_errors = importlib.import_module("docker.errors")
    container, fault = None, ""
    try:
        container = make().start()
    except docker_errors.DockerException as error:
        fault = str(error)
    if container is None:  # said here, outside of the error, so that one sentence is all that is shown
        pytest.fail(f"HUB_TEST_BACKEND=containers needs a container engine: {fault}", pytrace=False)
    try:
        yield container
    finally:
        container.stop()


def _kafka_container() -> Any:
    from testcontainers.community.kafka import KafkaContainer

    container = KafkaContainer().with_kraft()
    container.with_env("KAFKA_AUTO_CREATE_TOPICS_ENABLE", "false")
    container.with_env("KAFKA_GROUP_INITIAL_REBALANCE_DELAY_MS", "0")
    return container


def _valkey_container() -> Any:
    from testcontainers.community.redis import RedisContainer

    return RedisContainer("valkey/valkey:9")


@pytest.fixture(scope="session")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KafkaLike]:
    """A running Kafka of one broker, shared by the whole session."""
    if BACKEND == "external":
        yield OutsideKafka(_named("HUB_BOOTSTRAP"))
    elif BACKEND == "containers":
        with _running(_kafka_container) as container:
            yield OutsideKafka(container.get_bootstrap_server())
    else:
        from hub.embedded import KafkaCluster

        with KafkaCluster(tmp_path_factory.mktemp("kafka")) as cluster:
            yield cluster


@pytest.fixture(scope="session")
def valkey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[IndexLike]:
    """A running Valkey (or Redis), shared by the whole session."""
    if BACKEND == "external":
        yield OutsideIndex(_named("HUB_REDIS_URL"))
    elif BACKEND == "containers":
        with _running(_valkey_container) as container:
            host, port = container.get_container_host_ip(), container.get_exposed_port(6379)
            yield OutsideIndex(f"redis://{host}:{port}/0")
    else:
        from hub.embedded import Valkey

        with Valkey(tmp_path_factory.mktemp("valkey")) as server:
            yield server


@pytest.fixture(scope="session")
def sftp_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SftpServer]:
    """A running SFTP server, shared by the whole session: it serves every folder of this machine."""
    from tests import support_sftp

    with support_sftp.sftp_server(tmp_path_factory.mktemp("sftp")) as server:
        yield server


@pytest.fixture(scope="session")
def _shared_interface() -> Iterator[OpenInterface]:
    from tests import support_http_poll

    with support_http_poll.open_interface() as served:
        yield served


@pytest.fixture
def open_interface(_shared_interface: OpenInterface) -> OpenInterface:
    """A department's interface with nothing in it and no faults."""
    _shared_interface.reset()
    return _shared_interface


@pytest.fixture
def redis_client(valkey: IndexLike) -> Iterator[redis.Redis]:
    """A client of an empty index, emptied again after the test; bytes in, bytes out."""
    with redis.Redis.from_url(valkey.url) as client:
        if BACKEND == "external" and client.dbsize():
            pytest.fail(
                "The database of HUB_REDIS_URL is not empty; the tests would empty it.", pytrace=False
            )
        client.flushdb()
        yield client
        client.flushdb()


@pytest.fixture(autouse=True)
def logs_to_whoever_listens() -> Iterator[None]:
    """A command that a test ran may have sent all logs to a stream that was closed with it; so may one that a wider
    fixture ran which then failed."""
    structlog.reset_defaults()
    yield
    structlog.reset_defaults()


@pytest.fixture
def topic_name(request: pytest.FixtureRequest) -> Callable[..., str]:
    """Makes names that no other test has: ``topic_name()`` or ``topic_name("inbox.demo")``."""
    test = re.sub(r"[^a-z0-9]+", "-", request.node.name.lower()).strip("-")[:60]

    def make(stem: str = "") -> str:
        return f"{stem or test}.{uuid.uuid4().hex[:8]}.v1"

    return make


@pytest.fixture
def create_topics(kafka: KafkaLike) -> Iterator[CreateTopics]:
    """``create_topics("a", "b", partitions=12, config={...})``; they are deleted after the test."""
    admin = AdminClient({"bootstrap.servers": kafka.bootstrap, "log_level": 0})
    created: list[str] = []

    def create(
        *names: str, partitions: int = 12, replicas: int = -1, config: Mapping[str, str] | None = None
    ) -> None:
        # -1 copies: as many as the broker's own default says.
        topics = [NewTopic(name, partitions, replicas, config=dict(config or {})) for name in names]
        make_topics(admin, topics)
        created.extend(names)

    yield create
    if created:
        drop_topics(admin, created)
