"""The register of enterprises (企业登记名录) on its compacted topic, and in memory."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from datetime import datetime

from hub.bus.reader import end_of, read_topics
from hub.bus.records import Output
from hub.contracts.catalog import Catalog
from hub.contracts.cloudevents import to_headers
from hub.domain.enterprise_names import NameReader
from hub.domain.enterprise_register import EnterpriseRegister
from hub.domain.events import Envelope, derive_id, new_traceparent
from hub.domain.matching import Enterprise
from hub.errors import ContractError, InfrastructureError

ENTERPRISES_TOPIC = "identity.enterprises.v1"
ENTERPRISE_SCHEMA = "hub/enterprise"
_EVENT = "identity.enterprise.registered"
#: So often the topic is looked at for news; where there are some it is read anew, some ten seconds for 100,000.
REFRESH_SECONDS = 60.0


def name_reader(catalog: Catalog) -> NameReader:
    """Reads names with the regions of the code list."""
    return NameReader(region_names(catalog))


def region_names(catalog: Catalog) -> Mapping[str, str]:
    """What regions are called -> their codes."""
    entries = catalog.codes["region"].entries
    return {text: code for code, entry in entries.items() for text in (entry.title, *entry.aliases)}


class RegisterLog:
    """Writes and reads the records of the topic."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog, self._schema = catalog, catalog.schema(ENTERPRISE_SCHEMA)

    def entry(self, enterprise: Enterprise, file: str, now: datetime) -> Output:
        """The record that makes ``enterprise`` the entry of its code."""
        value = self._schema.encode({
            "uscc": enterprise.uscc, "name": enterprise.name, "region_code": enterprise.region,
            "legal_representative": enterprise.legal_representative,
            "registration_number": enterprise.registration_number, "former_names": list(enterprise.former_names),
            "loaded_at": now, "loaded_from": file[:500],
        })
        id_ = derive_id("enterprise", enterprise.uscc, now.isoformat())
        envelope = Envelope(
            id=id_, source="/operators", type=_EVENT, subject=enterprise.uscc, time=now,
            correlation_id=derive_id("enterprise", enterprise.uscc), traceparent=new_traceparent(id_),
        )
        return Output(ENTERPRISES_TOPIC, enterprise.uscc.encode(), value, to_headers(envelope), 0)

    def read(self, value: bytes) -> Enterprise:
        """Raises ContractError or PoisonError for a record that is no enterprise."""
        schema, found = self._catalog.decode(value)
        if schema.name != ENTERPRISE_SCHEMA:
            raise ContractError(f"{ENTERPRISES_TOPIC} holds enterprises, not {schema.name}")
        return Enterprise(
            found["uscc"], found["name"], found["region_code"], found["legal_representative"],
            found["registration_number"], tuple(found["former_names"]),
        )


def read_register(bootstrap: str, catalog: Catalog) -> EnterpriseRegister:
    """The register as it stands on the topic. Raises BrokerError."""
    register, log = EnterpriseRegister(name_reader(catalog)), RegisterLog(catalog)
    for record in read_topics(bootstrap, [ENTERPRISES_TOPIC]):
        if record.value is not None:
            register.put(log.read(record.value))
        elif record.key is not None:
            register.drop(record.key.decode())
    return register


class RegisterFeed:
    """One register for all sources of a process; read when it is first asked for, and again when it is old.
    Threads may share it."""

    def __init__(
        self, bootstrap: str, catalog: Catalog, *, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._bootstrap, self._catalog, self._monotonic = bootstrap, catalog, monotonic
        self._guard = threading.Lock()
        self._register: EnterpriseRegister | None = None
        self._read_at, self._end = float("-inf"), -1

    def get(self) -> EnterpriseRegister:
        """The register. Raises BrokerError, and InfrastructureError while nobody has loaded one: without it
        every row would go back to its sender."""
        with self._guard:
            now = self._monotonic()
            if self._register is None or now - self._read_at > REFRESH_SECONDS:
                end = end_of(self._bootstrap, ENTERPRISES_TOPIC)
                if self._register is None or end != self._end:
                    self._register, self._end = read_register(self._bootstrap, self._catalog), end
                self._read_at = now
            if not len(self._register):
                self._register = None
                raise InfrastructureError(
                    "the register of enterprises is empty; load it with: hub identity load FILE"
                )
            return self._register
