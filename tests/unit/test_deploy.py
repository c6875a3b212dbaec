"""The deployment's files, as far as files can be checked: they fit each other, the settings and the stages."""

from __future__ import annotations

import re
import shlex
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from connectors.export_folder.settings import ExportFolderSettings
from hub.cli.main import build
from hub.contracts.endpoints import load_endpoints
from hub.contracts.map import HubMap
from hub.embedded.broker_config import BrokerPlace, broker_properties
from hub.intake.sources import load_sources
from hub.settings import PROJECT_ROOT, Settings, load
from hub.wiring import STAGES, open_map

COMPOSE = PROJECT_ROOT / "docker-compose.yml"
DOCKERFILE = PROJECT_ROOT / "deploy" / "Dockerfile"
BROKERS = ("kafka-1", "kafka-2", "kafka-3")


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    """The file with its anchors resolved, as Compose reads it."""
    found = yaml.safe_load(COMPOSE.read_text(encoding="utf-8"))
    assert isinstance(found, dict)
    return found


@pytest.fixture(scope="module")
def services(compose: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return dict(compose["services"])


@pytest.fixture(scope="module")
def hub_map() -> HubMap:
    return open_map(load())


def instructions(name: str) -> list[list[str]]:
    """Words of every instruction of that name in the Dockerfile."""
    joined = DOCKERFILE.read_text(encoding="utf-8").replace("\\\n", " ")
    return [shlex.split(line)[1:] for line in joined.splitlines() if line.startswith(f"{name} ")]


# -- services ----------------------------------------------------------------------------------


def test_every_stage_is_a_service_with_its_command(services: dict[str, dict[str, Any]]) -> None:
    for stage in STAGES:
        assert services[stage]["command"] == ["hub", "run", stage]


def test_there_is_no_other_service(services: dict[str, dict[str, Any]]) -> None:
    assert set(services) == {*BROKERS, "valkey", "topics", *STAGES}


def test_the_topics_service_runs_once(services: dict[str, dict[str, Any]]) -> None:
    assert services["topics"]["command"] == ["hub", "topics", "apply"]
    assert services["topics"]["restart"] == "no"


def test_stages_wait_for_topics_and_index(services: dict[str, dict[str, Any]]) -> None:
    for stage in STAGES:
        assert services[stage]["depends_on"] == {
            "topics": {"condition": "service_completed_successfully"},
            "valkey": {"condition": "service_healthy"},
        }
    assert set(services["topics"]["depends_on"]) == set(BROKERS)


def test_every_lasting_service_is_started_again_and_has_a_health_check(services: dict[str, dict[str, Any]]) -> None:
    for name in services.keys() - {"topics"}:
        assert services[name]["restart"] == "unless-stopped", name
        test = services[name]["healthcheck"]["test"]
        assert test[0] in ("CMD", "CMD-SHELL") and len(test) > 1, name
    assert "/readyz" in services["web"]["healthcheck"]["test"][-1]


def test_commands_of_health_checks_exist(services: dict[str, dict[str, Any]]) -> None:
    known = {command.callback.__name__ for command in build().registered_commands if command.callback}
    for stage in set(STAGES) - {"web"}:
        test = services[stage]["healthcheck"]["test"]
        assert test[:2] == ["CMD", "hub"] and test[2] in known


def test_a_stage_is_given_longer_than_its_drain(services: dict[str, dict[str, Any]]) -> None:
    drain = float(Settings.model_fields["shutdown_seconds"].default)
    for stage in STAGES:
        grace = services[stage]["stop_grace_period"]
        assert grace.endswith("s") and float(grace[:-1]) > drain


def test_only_the_web_side_is_reachable_and_from_this_machine_alone(services: dict[str, dict[str, Any]]) -> None:
    assert [name for name in services if "ports" in services[name]] == ["web"]
    assert all(port.startswith("127.0.0.1:") for port in services["web"]["ports"])


def test_images_name_their_version(services: dict[str, dict[str, Any]]) -> None:
    for name, service in services.items():
        tag = service["image"].partition(":")[2]
        assert tag and tag != "latest", name


# -- settings ----------------------------------------------------------------------------------


def test_every_setting_that_is_given_exists(services: dict[str, dict[str, Any]]) -> None:
    known = {f"HUB_{name.upper()}" for name in Settings.model_fields}
    for name in ("topics", *STAGES):
        given = set(services[name]["environment"])
        assert given <= known, name
    mentioned = set(re.findall(r"HUB_[A-Z_]+", COMPOSE.read_text() + DOCKERFILE.read_text()))
    assert mentioned <= known


def test_values_of_settings_are_accepted(
    services: dict[str, dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("topics", *STAGES):
        for variable, value in services[name]["environment"].items():
            if value is not None:
                monkeypatch.setenv(variable, str(value))
        settings = load()
        assert settings.bootstrap.split(",") == [f"{broker}:9092" for broker in BROKERS]
        assert settings.redis_url.startswith("redis://valkey:")
        assert settings.endpoints.parent == settings.sources.parent == Path("/config")


def test_a_secret_is_handed_on_and_never_written(services: dict[str, dict[str, Any]]) -> None:
    # Without a value Compose hands the variable on if it is set: an empty one would be an empty key.
    assert services["intake"]["environment"]["HUB_SUBJECT_SECRET"] is None
    assert services["web"]["environment"]["HUB_SUBJECT_SECRET"] is None


def test_the_map_fits_the_cluster(services: dict[str, dict[str, Any]], hub_map: HubMap) -> None:
    environment = services["kafka-1"]["environment"]
    assert hub_map.model.replication <= len(BROKERS)
    assert environment["KAFKA_DEFAULT_REPLICATION_FACTOR"] == hub_map.model.replication
    assert environment["KAFKA_MIN_INSYNC_REPLICAS"] == hub_map.model.min_in_sync


# -- brokers and volumes -----------------------------------------------------------------------


def test_voters_are_the_brokers(services: dict[str, dict[str, Any]]) -> None:
    ids = {}
    for name in BROKERS:
        environment = services[name]["environment"]
        ids[environment["KAFKA_NODE_ID"]] = name
        assert environment["KAFKA_ADVERTISED_LISTENERS"] == f"BROKER://{name}:9092,DEPARTMENTS://{name}:9094"
    voters = ",".join(f"{number}@{name}:9093" for number, name in sorted(ids.items()))
    for name in BROKERS:
        assert services[name]["environment"]["KAFKA_CONTROLLER_QUORUM_VOTERS"] == voters
    assert len(ids) == len(BROKERS)


def test_brokers_are_one_cluster_with_the_same_promises(services: dict[str, dict[str, Any]]) -> None:
    own = {"KAFKA_NODE_ID", "KAFKA_ADVERTISED_LISTENERS"}
    shared = [
        {name: value for name, value in services[broker]["environment"].items() if name not in own}
        for broker in BROKERS
    ]
    assert shared[0] == shared[1] == shared[2]
    # A random UUID as Kafka writes one: 16 bytes, base64 for URLs, no padding.
    assert re.fullmatch(r"[A-Za-z0-9_-]{22}", shared[0]["CLUSTER_ID"])
    assert shared[0]["KAFKA_OFFSETS_TOPIC_REPLICATION_FACTOR"] == 3
    assert shared[0]["KAFKA_UNCLEAN_LEADER_ELECTION_ENABLE"] == "false"


def properties_of(environment: dict[str, Any]) -> dict[str, str]:
    """The broker's settings as the image makes them of its environment."""
    found = {}
    for name, value in environment.items():
        if name.startswith("KAFKA_"):
            text = name.removeprefix("KAFKA_").lower().replace("___", "-").replace("__", "\0").replace("_", ".")
            found[text.replace("\0", "_")] = str(value)
    return found


def test_departments_are_judged_as_on_the_embedded_broker(services: dict[str, dict[str, Any]]) -> None:
    place = BrokerPlace(1, Path("/data"), 9092, 9093, 9094)
    embedded = broker_properties(place, {1: place})
    ours = properties_of(services["kafka-1"]["environment"])
    words = ("departments", "authorizer", "super.users", "allow.everyone", "security.protocol")
    wanted = {name: value for name, value in embedded.items() if any(word in name for word in words)}
    assert len(wanted) == 7
    assert {name: ours.get(name) for name in wanted} == wanted


def test_departments_from_outside_come_by_tls_alone(services: dict[str, dict[str, Any]]) -> None:
    more = yaml.safe_load((PROJECT_ROOT / "deploy" / "departments.compose.yml").read_text(encoding="utf-8"))["services"]
    assert set(more) == set(BROKERS)
    for number, name in enumerate(BROKERS, 1):
        environment = services[name]["environment"] | more[name]["environment"]
        properties = properties_of(environment)
        assert "DEPARTMENTS:SASL_SSL" in properties["listener.security.protocol.map"]
        assert properties["listener.name.departments.ssl.keystore.type"] == "PEM"
        internal, departments = properties["advertised.listeners"].split(",")
        assert internal == f"BROKER://{name}:9092"
        (port,) = more[name]["ports"]
        assert port.endswith(f":909{number + 3}:9094") and departments.endswith(f":909{number + 3}")


def test_every_named_volume_is_declared_and_used_once(
    compose: dict[str, Any], services: dict[str, dict[str, Any]]
) -> None:
    mounts = [mount.partition(":")[0] for service in services.values() for mount in service.get("volumes", [])]
    named = [source for source in mounts if re.fullmatch(r"[a-z0-9-]+", source)]
    # What is read and what is handed in by HTTP share locks and the secret of subjects.
    assert sorted(named) == sorted([*compose["volumes"], "intake"])
    assert set(BROKERS) | {"valkey"} <= set(named)


def test_what_a_broker_writes_is_on_its_volume(services: dict[str, dict[str, Any]]) -> None:
    for name in BROKERS:
        assert services[name]["volumes"] == [f"{name}:{services[name]['environment']['KAFKA_LOG_DIRS']}"]


# -- the image ---------------------------------------------------------------------------------


def test_what_the_image_copies_exists_and_is_not_ignored() -> None:
    lines = (DOCKERFILE.parent / "Dockerfile.dockerignore").read_text().splitlines()
    sent = {line[1:] for line in lines if line.startswith("!")}
    for *sources, _target in instructions("COPY"):
        for source in sources:
            if not source.startswith("--"):
                assert (PROJECT_ROOT / source).exists(), source
                assert source.rstrip("/") in sent, source


def test_the_image_has_what_the_hub_reads_at_home() -> None:
    targets = {source.rstrip("/") for *sources, _target in instructions("COPY") for source in sources}
    assert {"hub", "connectors", "schemas", "reference", "topics.yaml", "requirements.lock"} <= targets


def test_the_image_installs_by_hash_and_runs_as_nobody_special() -> None:
    (install,) = [words for words in instructions("RUN") if "pip" in words]
    assert {"--require-hashes", "--no-deps", "requirements.lock"} <= set(install)
    (user,) = instructions("USER")
    assert user not in (["root"], ["0"])
    ((base, *_),) = instructions("FROM")
    assert base == "python:3.11-slim"


def test_every_requirement_of_the_lock_has_a_hash() -> None:
    text = (PROJECT_ROOT / "requirements.lock").read_text(encoding="utf-8").replace("\\\n", " ")
    pinned = [line for line in text.splitlines() if "==" in line]
    assert pinned and all("--hash=sha256:" in line for line in pinned)


# -- examples ----------------------------------------------------------------------------------


def test_the_example_of_endpoints_names_what_the_map_has(hub_map: HubMap) -> None:
    found = load_endpoints(PROJECT_ROOT / "deploy" / "endpoints.example.yaml")
    assert set(found.channels) == set(hub_map.channels)
    assert set(found.subscriptions) == set(hub_map.subscriptions)


def test_folders_of_channels_are_mounted_and_their_ledger_is_kept(services: dict[str, dict[str, Any]]) -> None:
    channels = load_endpoints(PROJECT_ROOT / "deploy" / "endpoints.example.yaml").channels
    mounted = [mount.split(":")[-1] for mount in services["disclosure"]["volumes"] if not mount.endswith(":ro")]
    folders = {name: Path(given["folder"]) for name, given in channels.items() if "folder" in given}
    assert set(folders) == {"creditchina", "website"}
    for name, folder in folders.items():
        assert any(folder.is_relative_to(place) for place in mounted), name
    # A number that was used stays used, whatever becomes of the container.
    assert services["disclosure"]["environment"]["HUB_DATA"] in mounted
    for text in (COMPOSE, PROJECT_ROOT / "docs" / "operating.md"):
        lines = re.findall(r"mkdir -p (.*)", text.read_text(encoding="utf-8"))
        made = {path for line in lines for path in line.split()}
        exchange = ".hub-compose/exchange/creditchina"
        assert made >= {".hub-compose/website", f"{exchange}/out", f"{exchange}/in"}, text


def test_the_example_of_sources_is_of_known_departments(
    hub_map: HubMap, services: dict[str, dict[str, Any]]
) -> None:
    known = {str(entry["code"]): entry for entry in hub_map.departments.values()}
    mounted = [mount.split(":")[-1] for mount in services["intake"]["volumes"]]
    for source in load_sources(PROJECT_ROOT / "deploy" / "sources.example.yaml").values():
        department = known[source.department_code]
        assert (source.department_name, source.region_code) == (department["name"], department["region"])
        assert isinstance(source.settings, ExportFolderSettings)
        assert str(source.settings.folder.parent) in mounted


# -- what CI runs --------------------------------------------------------------------------------


def test_what_ci_runs_is_a_script_that_ends_with_the_suite() -> None:
    script = PROJECT_ROOT / ".ci" / "run"
    done = subprocess.run(["bash", "-n", str(script)], capture_output=True, text=True, timeout=30)
    assert (done.returncode, done.stderr) == (0, "")
    assert script.read_text(encoding="utf-8").splitlines()[-1] == "make test"
